package server

import (
	"fmt"
	"runtime"

	"connectrpc.com/connect"
	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/proto"
)

// laneBytes is what is made quickly enough to be made at once.
const laneBytes = 64 << 10

// lane is where the answers of reports are made: on half of the processors that
// this process may use. While all of them work on something long, Go looks at
// the network every ten milliseconds only, and the answer to a click is several
// such looks: pages of 50,000 points, asked for by 16 clients, held clicks up for
// half a second. Nothing is waited for in a lane. A nil lane has no end of room.
type lane chan struct{}

func newLane() lane { return make(lane, max(runtime.GOMAXPROCS(0)/2, 1)) }

func (l lane) do(work func()) {
	if l == nil {
		work()
		return
	}
	l <- struct{}{}
	defer func() { <-l }()
	work()
}

// options make the answers of a service in the lane. They are compressed
// lightly: the library's default takes as long as all else of an answer.
func (l lane) options() connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithCodec(laneCodec{protoCodec{}, l}),
		connect.WithCodec(laneCodec{jsonCodec{"json"}, l}),
		connect.WithCodec(laneCodec{jsonCodec{"json; charset=utf-8"}, l}),
		connect.WithCompression("gzip",
			func() connect.Decompressor { return &gzip.Reader{} },
			func() connect.Compressor {
				w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
				if err != nil {
					panic(err) // of a level that is not there
				}
				return laneCompressor{w, l}
			}),
	)
}

// appendingCodec is a codec as connect likes it best.
type appendingCodec interface {
	connect.Codec
	MarshalAppend(dst []byte, message any) ([]byte, error)
}

// laneCodec writes messages in a lane.
type laneCodec struct {
	appendingCodec
	lane lane
}

// Marshal writes a message.
func (c laneCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend writes a message behind dst.
func (c laneCodec) MarshalAppend(dst []byte, message any) (out []byte, err error) {
	c.lane.do(func() { out, err = c.appendingCodec.MarshalAppend(dst, message) })
	return out, err
}

// protoCodec is the library's own codec, which it does not export.
type protoCodec struct{}

// Name is what Content-Type says of it.
func (protoCodec) Name() string { return "proto" }

// Marshal writes a message.
func (c protoCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend writes a message behind dst.
func (protoCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, errNoMessage
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

// Unmarshal reads a message.
func (protoCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return errNoMessage
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Errorf("read protobuf: %w", err)
	}
	return nil
}

// laneCompressor compresses what is long in a lane.
type laneCompressor struct {
	*gzip.Writer
	lane lane
}

// Write compresses p.
func (c laneCompressor) Write(p []byte) (n int, err error) {
	if len(p) < laneBytes {
		return c.Writer.Write(p)
	}
	c.lane.do(func() { n, err = c.Writer.Write(p) })
	return n, err
}
