// Command clickhouse-server is a ClickHouse server made of the engine that the npm package chdb ships as a library.
//
// The library is ClickHouse's own `clickhouse local`. That program can open the server's ports, and the library exports its main
// function, so this launcher only loads the library, hands it its arguments and turns a SIGTERM into an orderly end.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/alecthomas/kong"
	"github.com/ebitengine/purego"
)

// stopTimeout is how long the engine may take to end by itself after a SIGTERM. What it acknowledged is on disk already.
const stopTimeout = 2 * time.Second

// keepAliveQuery occupies the engine's own session for ever: the process lives as long as its query does.
const keepAliveQuery = "SELECT sleepEachRow(1) FROM system.numbers FORMAT Null " +
	"SETTINGS function_sleep_max_microseconds_per_block=0, max_block_size=1, max_execution_time=0, log_queries=0"

type flags struct {
	Library string `required:"" type:"existingfile" help:"Path of libchdb.so."`
	Config  string `required:"" type:"existingfile" help:"Path of the server's configuration (XML)."`
	Data    string `required:"" help:"Folder of the data."`
	TCP     string `required:"" name:"tcp" help:"Address of the native protocol, host:port."`
	HTTP    string `required:"" name:"http" help:"Address of the HTTP interface, host:port (the same host)."`

	User     string `required:"" env:"CLICKLEDGER_CLICKHOUSE_USER" help:"User that ends the server's session on a stop."`
	Password string `required:"" env:"CLICKLEDGER_CLICKHOUSE_PASSWORD" help:"That user's password; give it in the environment."`
}

func main() {
	// The engine's main must own one thread with a full-sized stack for its whole life.
	runtime.LockOSThread()
	// Go's own handler cannot run in the engine's threads, where a client that left in the middle of an answer raises this one.
	signal.Ignore(syscall.SIGPIPE)
	var f flags
	kong.Parse(&f, kong.Name("clickhouse-server"), kong.Description("A ClickHouse server made of libchdb."))
	code, err := run(f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "clickhouse-server:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(f flags) (int, error) {
	args, err := f.arguments()
	if err != nil {
		return 0, err
	}
	library, err := purego.Dlopen(f.Library, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return 0, fmt.Errorf("load library: %w", err)
	}
	var engineMain func(argc int32, argv unsafe.Pointer) int32
	purego.RegisterLibFunc(&engineMain, library, "chdb_query_cmdline")

	go f.endOnSignal()
	go f.outliveFailedHandshakes(library)
	argv, pinned := cStrings(args)
	code := engineMain(int32(len(args)), argv)
	pinned.Unpin()
	return int(code), nil
}

// arguments are those of `clickhouse local`.
func (f flags) arguments() ([]string, error) {
	host, tcpPort, err := net.SplitHostPort(f.TCP)
	if err != nil {
		return nil, fmt.Errorf("read --tcp: %w", err)
	}
	httpHost, httpPort, err := net.SplitHostPort(f.HTTP)
	if err != nil {
		return nil, fmt.Errorf("read --http: %w", err)
	}
	if httpHost != host {
		return nil, errors.New("--tcp and --http must name the same host")
	}
	queries := []string{"SYSTEM START LISTEN TCP", "SYSTEM START LISTEN HTTP", keepAliveQuery}
	return []string{
		"clickhouse", "--config-file=" + f.Config, "--path=" + f.Data, "--listen_host=" + host,
		"--tcp_port=" + tcpPort, "--http_port=" + httpPort, "--query", strings.Join(queries, "; "),
	}, nil
}

// endOnSignal ends the process in order on a SIGTERM: with its query killed the engine finishes what it does and shuts itself down.
// (It takes no notice of signals itself.) Where that does not work the process leaves all the same: what was acknowledged is written.
func (f flags) endOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
	deadline := time.NewTimer(stopTimeout)
	if err := f.killKeepAliveQuery(); err != nil {
		fmt.Fprintln(os.Stderr, "clickhouse-server: leave without an orderly end:", err)
		os.Exit(0)
	}
	<-deadline.C
	os.Exit(0)
}

// killKeepAliveQuery asks as a user: the engine's own session may do nothing but wait.
func (f flags) killKeepAliveQuery() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	query := "KILL QUERY WHERE query LIKE 'SELECT sleepEachRow%' ASYNC"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.HTTP+"/", strings.NewReader(query))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("X-ClickHouse-User", f.User)
	request.Header.Set("X-ClickHouse-Key", f.Password)
	request.Close = true // the shutdown waits for open connections
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("kill query: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("kill query: %s", response.Status)
	}
	return nil
}

// cStrings makes an argv the garbage collector does not move until it is unpinned.
func cStrings(args []string) (unsafe.Pointer, *runtime.Pinner) {
	pinner := new(runtime.Pinner)
	argv := make([]*byte, len(args)+1) // the last one stays nil, as C expects
	for i, arg := range args {
		bytes := append([]byte(arg), 0)
		pinner.Pin(&bytes[0])
		argv[i] = &bytes[0]
	}
	pinner.Pin(&argv[0])
	return unsafe.Pointer(&argv[0]), pinner
}
