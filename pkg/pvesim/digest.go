package pvesim

import (
	"crypto/sha1" //nolint:gosec // a digest tells versions of a file apart; the real API uses SHA-1
	"encoding/hex"
	"fmt"
	"strings"
)

// sha1Hex is the digest of a text, as the API shows it.
func sha1Hex(text string) string {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// digestOf is the digest of sorted "key:value" lines.
func digestOf(m map[string]string) string { return digestOfAll([]map[string]string{m}) }

// digestOfAll is one digest for a list.
func digestOfAll(list []map[string]string) string {
	var b strings.Builder
	for _, m := range list {
		for _, k := range sortedKeys(m) {
			fmt.Fprintf(&b, "%s:%s\n", k, m[k])
		}
	}
	return sha1Hex(b.String())
}
