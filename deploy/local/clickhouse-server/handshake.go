package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// A client of the native protocol that gives a wrong password, names a database that is not there or leaves in the middle of its
// greeting must cost its connection and nothing else. In this engine it would end the whole process: `clickhouse local` tells its
// network library (Poco) to terminate on whatever a connection throws, as a real server does not. So the library's pointer to that
// error handler is set to one that does nothing.
//
// The pointer has no name outside the library. Its place is known for the pinned build, and checked against the instructions that
// use it; on another build or system nothing is touched, and the supervisor starts the server again when a client ended it.
const (
	knownSystem = "linux/amd64"

	// Offsets in libchdb.so 26.7.3-stable.1.
	exportedMain      = 0xf211700  // chdb_query_cmdline, which tells where the library was loaded
	handlerUse        = 0x1c8f99d9 // in Poco::ErrorHandler::handle(const Poco::Exception &)
	handlerPointer    = 0x229677a8 // Poco::ErrorHandler::_pHandler
	handlerMethods    = 16         // more than it has: forms of exception(), of logMessage(), destructors
	startPollInterval = 20 * time.Millisecond
)

// handlerUseCode loads the pointer and calls the first form of exception().
const handlerUseCode = "\x48\x8d\x05\xc8\xdd\x06\x06" + "\x48\x8b\x38" + "\x48\x8b\x07" + "\x48\x89\xde" + "\xff\x50\x10"

// outliveFailedHandshakes waits until the engine has set its own handler and listens, then replaces the handler.
func (f flags) outliveFailedHandshakes(library uintptr) {
	for !f.answersHTTP() {
		time.Sleep(startPollInterval)
	}
	if err := replaceErrorHandler(library); err != nil {
		fmt.Fprintln(os.Stderr, "clickhouse-server: a failed login will end this server:", err)
	}
}

func replaceErrorHandler(library uintptr) error {
	if runtime.GOOS+"/"+runtime.GOARCH != knownSystem {
		return errors.New("the place of its error handler is only known on " + knownSystem)
	}
	address, err := purego.Dlsym(library, "chdb_query_cmdline")
	if err != nil {
		return fmt.Errorf("find library: %w", err)
	}
	base := address - exportedMain
	if !knownBuild(base) {
		return errors.New("the place of its error handler is not known in this build of the library")
	}
	nothing, err := purego.Dlsym(purego.RTLD_DEFAULT, "getpid") // looks at no argument and changes nothing
	if err != nil {
		return fmt.Errorf("find getpid: %w", err)
	}
	var calloc func(count, size uintptr) unsafe.Pointer // memory of the engine's own kind: nobody moves or collects it
	purego.RegisterLibFunc(&calloc, purego.RTLD_DEFAULT, "calloc")
	// A C++ object is a pointer to the table of its methods.
	object := calloc(1+handlerMethods, unsafe.Sizeof(nothing))
	words := unsafe.Slice((*uintptr)(object), 1+handlerMethods)
	words[0] = uintptr(unsafe.Pointer(&words[1]))
	for i := range handlerMethods {
		words[1+i] = nothing
	}
	atomic.StorePointer((*unsafe.Pointer)(at(base+handlerPointer)), object)
	return nil
}

// knownBuild tells whether the library was loaded at base and holds the known instructions at the known place.
func knownBuild(base uintptr) bool {
	if base%uintptr(os.Getpagesize()) != 0 {
		return false
	}
	return string(unsafe.Slice((*byte)(at(base+handlerUse)), len(handlerUseCode))) == handlerUseCode
}

// at makes a pointer of an address inside the library, memory that Go knows nothing of.
func at(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// answersHTTP tells whether the engine has come up. It must not knock at the native port: leaving is what that one cannot stand.
func (f flags) answersHTTP() bool {
	response, err := http.Get("http://" + f.HTTP + "/ping") //nolint:noctx // this machine's own port
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}
