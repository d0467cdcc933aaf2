package click

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 23, 10, 5, 12, 345e6, time.UTC)

func key(id uint8) Key { return Key{ID: id, Secret: bytes.Repeat([]byte{id}, 32)} }

func ring(t testing.TB, keys ...Key) *Keyring {
	t.Helper()
	r, err := NewKeyring(keys, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func token(t testing.TB, issued time.Time) Token {
	t.Helper()
	id, err := NewImpressionID(issued, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return Token{AdID: 1<<62 + 7, Impression: id, FanOut: 3}
}

func TestSignedTokenVerifies(t *testing.T) {
	r := ring(t, key(1))
	want := token(t, now)
	text := r.Sign(want)
	if len(text) != TokenLength {
		t.Errorf("a token has %d characters, not %d", len(text), TokenLength)
	}
	got, err := r.Verify(text, now)
	if err != nil || got != want {
		t.Errorf("Verify = %+v, %v; want %+v", got, err, want)
	}
}

func TestTokenIsValidUntilItsValidityEnds(t *testing.T) {
	r := ring(t, key(1))
	issued := token(t, now)
	text := r.Sign(issued)
	at := issued.Impression.IssuedAt()
	for _, c := range []struct {
		name string
		now  time.Time
		want error
	}{
		{"at once", at, nil},
		{"a gateway's clock 2 s behind", at.Add(-2 * time.Second), nil},
		{"issued in the future", at.Add(-2*time.Second - time.Millisecond), ErrTokenFuture},
		{"the last millisecond", at.Add(24*time.Hour - time.Millisecond), nil},
		{"the validity", at.Add(24 * time.Hour), ErrTokenExpired},
		{"years later", at.AddDate(5, 0, 0), ErrTokenExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := r.Verify(text, c.now)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if errors.Is(err, ErrTokenExpired) && got != issued {
				t.Error("an expired token does not name its ad")
			}
		})
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	r := ring(t, key(1))
	raw, err := base64.RawURLEncoding.DecodeString(r.Sign(token(t, now)))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		forged := bytes.Clone(raw)
		forged[bit/8] ^= 1 << (bit % 8)
		_, err := r.Verify(base64.RawURLEncoding.EncodeToString(forged), now)
		if !errors.Is(err, ErrTokenShape) && !errors.Is(err, ErrTokenSignature) {
			t.Fatalf("bit %d flipped: error %v", bit, err)
		}
	}
}

func TestMalformedTokens(t *testing.T) {
	r := ring(t, key(1))
	good := r.Sign(token(t, now))
	for name, text := range map[string]string{
		"empty":              "",
		"short":              good[:TokenLength-1],
		"long":               good + "A",
		"padded":             good[:TokenLength-1] + "=",
		"standard alphabet":  "+/" + good[2:],
		"line break":         good[:20] + "\n" + good[21:],
		"not ASCII":          strings.Repeat("é", TokenLength/2),
		"stray trailing bit": good[:TokenLength-1] + "_",
	} {
		if _, err := r.Verify(text, now); !errors.Is(err, ErrTokenShape) {
			t.Errorf("%s: error %v, want %v", name, err, ErrTokenShape)
		}
	}
}

func TestKeyRotation(t *testing.T) {
	before := ring(t, key(1))
	both := ring(t, key(1), key(2))
	promoted := ring(t, key(2), key(1))
	after := ring(t, key(2))
	old, young := before.Sign(token(t, now)), promoted.Sign(token(t, now))
	if _, err := both.Verify(young, now); err != nil {
		t.Errorf("a gateway that has not promoted the key yet refuses it: %v", err)
	}
	if _, err := promoted.Verify(old, now); err != nil {
		t.Errorf("a token of the old key is refused while it is configured: %v", err)
	}
	if _, err := after.Verify(old, now); !errors.Is(err, ErrTokenSignature) {
		t.Errorf("a token of a removed key: error %v, want %v", err, ErrTokenSignature)
	}
}

func TestKeyringRefusesBadKeys(t *testing.T) {
	for name, keys := range map[string][]Key{
		"none":    {},
		"short":   {{ID: 1, Secret: []byte("short")}},
		"twice":   {key(1), key(1)},
		"too big": {{ID: 1, Secret: make([]byte, 33)}},
	} {
		if _, err := NewKeyring(keys, time.Hour); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewKeyring([]Key{key(1)}, 0); err == nil {
		t.Error("a validity of zero: no error")
	}
}

// fixedToken is the same in each of a fuzzer's processes.
func fixedToken(issued time.Time) Token {
	id, _ := NewImpressionID(issued, strings.NewReader("the same for all"))
	return Token{AdID: 7, Impression: id, FanOut: 240}
}

// The only texts that are accepted are those that were issued.
func FuzzVerify(f *testing.F) {
	r, stranger := ring(f, key(1), key(2)), ring(f, Key{ID: 1, Secret: bytes.Repeat([]byte{9}, 32)})
	issued := map[string]Token{}
	for _, at := range []time.Time{now, now.Add(-time.Hour), now.Add(-48 * time.Hour), now.Add(time.Hour)} {
		text := r.Sign(fixedToken(at))
		issued[text] = fixedToken(at)
		f.Add(text)
		f.Add(text[:TokenLength-1])
		f.Add(strings.ToLower(text))
		f.Add(stranger.Sign(fixedToken(at)))
	}
	f.Add("")
	f.Add(strings.Repeat("A", TokenLength))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := r.Verify(text, now)
		if err != nil && !errors.Is(err, ErrTokenExpired) {
			return
		}
		if want, ok := issued[text]; !ok || got != want {
			t.Fatalf("%q was taken for %+v, which was never issued", text, got)
		}
	})
}

// Whatever stands in a body, a stranger's signature is refused, and our own
// makes it at most what it says.
func FuzzTokenBody(f *testing.F) {
	r, stranger := ring(f, key(1)), ring(f, Key{ID: 1, Secret: bytes.Repeat([]byte{9}, 32)})
	fixed := fixedToken(now)
	f.Add(fixed.AdID, fixed.FanOut, fixed.Impression[:], []byte("mac"))
	f.Add(int64(-1), uint8(0), []byte{}, []byte{})
	f.Add(int64(1)<<62, uint8(255), bytes.Repeat([]byte{0xff}, 16), bytes.Repeat([]byte{0xff}, 16))
	f.Fuzz(func(t *testing.T, adID int64, fanOut uint8, impression, mac []byte) {
		body := Token{AdID: adID, FanOut: fanOut}
		copy(body.Impression[:], impression)
		if _, err := r.Verify(stranger.Sign(body), now); !errors.Is(err, ErrTokenSignature) {
			t.Fatalf("a stranger's %+v: %v, want %v", body, err, ErrTokenSignature)
		}
		own := r.Sign(body)
		got, err := r.Verify(own, now)
		if (err == nil || errors.Is(err, ErrTokenExpired)) && (got != body || adID <= 0 || fanOut == 0) {
			t.Fatalf("%+v was read as %+v: %v", body, got, err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(own)
		if err != nil {
			t.Fatal(err)
		}
		forged := bytes.Clone(raw)
		copy(forged[tokenBody:], mac)
		if bytes.Equal(forged, raw) {
			return
		}
		if _, err := r.Verify(base64.RawURLEncoding.EncodeToString(forged), now); !errors.Is(err, ErrTokenSignature) {
			t.Fatalf("%+v with another signature: %v", body, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	r := ring(b, key(1))
	text := r.Sign(token(b, now))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Verify(text, now); err != nil {
			b.Fatal(err)
		}
	}
}
