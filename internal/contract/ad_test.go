package contract

import (
	"strings"
	"testing"
)

func TestAnAdIsJudgedAsInACall(t *testing.T) {
	rules, err := NewAdRules()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		name, url string
		want      string // of the refusal
	}{
		{"Bread", "https://example.com/bread?a=1", ""},
		{strings.Repeat("ä", 200), "http://[2001:db8::1]:8080/", ""},
		{"", "https://example.com/", "name"},
		{strings.Repeat("ä", 201), "https://example.com/", "name"},
		{"a\xff", "https://example.com/", "name is not UTF-8"},
		{"Bread", "", "landing_url"},
		{"Bread", "ftp://example.com/", "must begin with http"},
		{"Bread", "https://example.com/a b", "percent-encoded"},
		{"Bread", "https://example.com/?a=%zz", "landing_url"}, // the contract's rule alone refuses this
		{"Bread", "https://user@example.com/", "user name"},
		{"Bread", "https://example.com/" + strings.Repeat("x", 2048), "landing_url"},
	} {
		err := rules.Check(one.name, one.url)
		if (err == nil) != (one.want == "") || err != nil && !strings.Contains(err.Error(), one.want) {
			t.Errorf("%.30q, %.40q: %v", one.name, one.url, err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	rules, err := NewAdRules()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := rules.Check("Fresh bread", "https://shop.example.com/products/1234567?from=clickledger"); err != nil {
			b.Fatal(err)
		}
	}
}
