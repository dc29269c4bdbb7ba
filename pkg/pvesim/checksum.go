package pvesim

import (
	"crypto/md5"  //nolint:gosec // G501: an algorithm that Proxmox VE offers for checksums of files
	"crypto/sha1" //nolint:gosec // G505: likewise
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// checksums are the algorithms with which an upload can be compared.
var checksums = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}
