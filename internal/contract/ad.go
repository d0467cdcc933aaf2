// Package contract is what the API's contract says of a message, for what comes
// in by another way than a call: the same rules, by the same code.
package contract

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"buf.build/go/protovalidate"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// AdRules judge ads as CatalogService.CreateAds does.
type AdRules struct {
	validator protovalidate.Validator
}

// NewAdRules reads the rules out of the contract.
func NewAdRules() (*AdRules, error) {
	validator, err := protovalidate.New(protovalidate.WithFailFast(), protovalidate.WithMessages(&v1.NewAd{}))
	if err != nil {
		return nil, fmt.Errorf("read the rules of ads: %w", err)
	}
	return &AdRules{validator: validator}, nil
}

// Check refuses what CreateAds would, in a sentence.
func (r *AdRules) Check(name, landingURL string) error {
	if !utf8.ValidString(name) { // a call's message could not even be read
		return errors.New("name is not UTF-8")
	}
	if err := click.CheckLandingURL(landingURL); err != nil {
		return err
	}
	return r.validator.Validate(&v1.NewAd{Name: name, LandingUrl: landingURL})
}
