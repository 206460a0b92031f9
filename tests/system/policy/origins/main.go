// An origin that says where a path leads: by ServeMux, and by what handlers make of it.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
)

func main() {
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	answer := func(room string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			paths := []string{room, r.URL.Path, path.Clean(r.URL.Path), r.URL.EscapedPath()}
			json.NewEncoder(w).Encode(paths)
		}
	}
	mux.HandleFunc("/admin/", answer("/admin/"))
	mux.HandleFunc("/v1/", answer("/v1/"))
	mux.HandleFunc("/", answer("/"))
	fmt.Println("ready")
	http.Serve(listener, mux)
}
