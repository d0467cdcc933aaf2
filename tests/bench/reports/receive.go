package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// receiveOnly has a client receive an answer to its last byte, compressed as
// usual, and leave it at that. Of a page of 50,000 points, decoding is 10 to 30 ms
// of a processor: whoever asks has processors of their own, here they would be
// those that the clicks wait for.
func receiveOnly() []connect.ClientOption {
	return []connect.ClientOption{
		connect.WithCodec(unread{}),
		connect.WithAcceptCompression("gzip",
			func() connect.Decompressor { return new(asReceived) },
			func() connect.Compressor { return gzip.NewWriter(io.Discard) }),
	}
}

// unread encodes questions as any client does, and decodes no answer.
type unread struct{}

func (unread) Name() string { return "proto" }

func (unread) Marshal(message any) ([]byte, error) {
	question, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", message)
	}
	return proto.Marshal(question)
}

func (unread) Unmarshal(answer []byte, _ any) error {
	if len(answer) == 0 {
		return errors.New("the answer is empty")
	}
	return nil
}

// asReceived leaves compressed what is.
type asReceived struct{ io.Reader }

func (r *asReceived) Reset(from io.Reader) error {
	r.Reader = from
	return nil
}

func (*asReceived) Close() error { return nil }
