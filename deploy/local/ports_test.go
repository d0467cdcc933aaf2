package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

func TestAPortInUseIsNamedWithItsHolder(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	err = checkPorts(t.Context(), []service{{name: "kafka", addrs: []string{listener.Addr().String()}}})
	if err == nil || !strings.Contains(err.Error(), "port "+port+", which kafka needs, is in use") {
		t.Fatalf("got %v", err)
	}
	if holder := fmt.Sprintf("(pid %d)", os.Getpid()); portHolder(port) != "" && !strings.Contains(err.Error(), holder) {
		t.Errorf("got %v, want %s in it", err, holder)
	}
}
