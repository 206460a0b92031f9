// Asks Go's own resolver for the edges and labels of service instances: prints a JSON array of what each leads to.
//
// The lists are left out, as Go has no look-up of PTR records by name.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sort"
	"strings"
)

type found struct {
	Instance string   `json:"instance"`
	Edges    []string `json:"edges"`
	Texts    []string `json:"texts"`
}

func main() {
	server, instances := os.Args[1], os.Args[2:]
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server)
		},
	}
	var all []found
	for _, instance := range instances {
		_, services, err := resolver.LookupSRV(context.Background(), "", "", instance)
		if err != nil {
			fmt.Fprintln(os.Stderr, instance, err)
			os.Exit(1)
		}
		texts, err := resolver.LookupTXT(context.Background(), instance)
		if err != nil {
			fmt.Fprintln(os.Stderr, instance, err)
			os.Exit(1)
		}
		var edges []string
		for _, service := range services {
			edges = append(edges, fmt.Sprintf("%s:%d", strings.TrimSuffix(service.Target, "."), service.Port))
		}
		sort.Strings(edges)
		all = append(all, found{instance, edges, texts})
	}
	json.NewEncoder(os.Stdout).Encode(all)
}
