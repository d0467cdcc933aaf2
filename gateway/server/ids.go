package server

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
)

// newID draws an id: 63 random bits, positive. They say nothing about how many
// there are, and need nobody to hand them out; among a billion, two are equal
// with a chance of one in eighteen.
func newID() (int64, error) {
	for {
		var raw [8]byte
		if _, err := rand.Read(raw[:]); err != nil {
			return 0, fmt.Errorf("draw an id: %w", err)
		}
		if id := int64(binary.BigEndian.Uint64(raw[:]) >> 1); id > 0 {
			return id, nil
		}
	}
}

// A page token is the last id of the page before.

func pageToken(lastID int64) string { return strconv.FormatInt(lastID, 36) }

func parsePageToken(token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(token, 36, 64)
	if err != nil || id <= 0 {
		return 0, invalid("page_token is not one that was given out here")
	}
	return id, nil
}

const pageSizeDefault = 100

func pageSize(asked int32) int {
	if asked == 0 {
		return pageSizeDefault
	}
	return int(asked)
}
