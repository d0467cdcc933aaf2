package click

import (
	"errors"
	"net/url"
	"strings"
)

// CheckLandingURL refuses what must never stand in a Location header: anything
// but an absolute http or https URL with a host, in printable ASCII (others
// have to be percent-encoded), without a user name. Its errors are sentences.
func CheckLandingURL(text string) error {
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return errors.New("landing_url has a space, a control character or another that must be percent-encoded")
		}
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return errors.New("landing_url is not a URL") // not the library's words: they repeat it
	}
	switch {
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return errors.New("landing_url must begin with http:// or https://")
	case parsed.Hostname() == "":
		return errors.New("landing_url has no host")
	case parsed.User != nil:
		return errors.New("landing_url must not carry a user name or password")
	}
	return nil
}
