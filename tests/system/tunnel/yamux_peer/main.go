// A peer that speaks hashicorp's yamux, for the interoperability test.
//
// It connects to the address of its first argument and takes the role of the second, "client" or "server".
// It echoes every stream that the other side opens, byte by byte until the end, and then ends it as well.
// For each line "open N" on its standard input it opens a stream, writes N bytes, ends it, reads what comes back to
// the end, and prints "got M SUM" (bytes, SHA-256). "hold" opens a stream that stays open and prints "held" when a byte
// came back, or "refused" and why. "ping" prints "pong"; "goaway" sends go-away and prints "gone".
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/hashicorp/yamux"
)

func check(err error) {
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

func echo(stream net.Conn) {
	_, err := io.Copy(stream, stream)
	if err != nil {
		log.Print("echo: ", err)
	}
	stream.Close()
}

func pattern(size int) []byte {
	data := make([]byte, size)
	for index := range data {
		data[index] = byte(index % 251)
	}
	return data
}

// A stream of this yamux that was closed for writing reads no more, so the size is known and the end comes last.
func open(session *yamux.Session, size int) {
	stream, err := session.Open()
	check(err)
	go func() {
		_, err := stream.Write(pattern(size))
		check(err)
	}()
	hash := sha256.New()
	count, err := io.CopyN(hash, stream, int64(size))
	check(err)
	check(stream.Close())
	fmt.Printf("got %d %x\n", count, hash.Sum(nil))
}

func hold(session *yamux.Session) {
	stream, err := session.Open()
	check(err)
	// The refusal may arrive before the write or after it.
	if _, err = stream.Write([]byte{1}); err == nil {
		_, err = io.ReadFull(stream, make([]byte, 1))
	}
	if err != nil {
		fmt.Println("refused:", err)
	} else {
		fmt.Println("held")
	}
}

func main() {
	conn, err := net.Dial("tcp", os.Args[1])
	check(err)
	config := yamux.DefaultConfig()
	config.KeepAliveInterval = 50 * time.Millisecond
	var session *yamux.Session
	if os.Args[2] == "client" {
		session, err = yamux.Client(conn, config)
	} else {
		session, err = yamux.Server(conn, config)
	}
	check(err)
	go func() {
		for {
			stream, err := session.Accept()
			if err != nil {
				return
			}
			go echo(stream)
		}
	}()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var size int
		switch line := lines.Text(); line {
		case "ping":
			_, err := session.Ping()
			check(err)
			fmt.Println("pong")
		case "hold":
			hold(session)
		case "goaway":
			check(session.GoAway())
			fmt.Println("gone")
		default:
			_, err := fmt.Sscanf(line, "open %d", &size)
			check(err)
			open(session, size)
		}
	}
	session.Close()
}
