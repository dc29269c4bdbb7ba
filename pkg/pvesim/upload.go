package pvesim

import (
	"bytes"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
)

// content is what came with a request: a body, or a file and the fields before it.
type content struct {
	body []byte
	file *upload
	err  error
}

// upload is a file that was sent. Only what is looked at later is kept of it.
type upload struct {
	fields params
	size   int64
	head   []byte // its first bytes
	sum    string // by the algorithm that the fields name; "" for none
}

var uploadPath = regexp.MustCompile(`^/api2/+[a-z0-9]+/+nodes/+[^/]+/+storage/+[^/]+/+upload$`)

// isUpload reports whether a request sends a file, which may be of any size.
func isUpload(r *http.Request) bool {
	return r.Method == http.MethodPost && uploadPath.MatchString(r.URL.Path) && contentType(r) == "multipart/form-data"
}

// readContent reads all that a request brings.
func readContent(r *http.Request) content {
	if isUpload(r) {
		defer r.Body.Close()
		file, err := readUpload(r)
		return content{file: file, err: err}
	}
	body, err := readBody(r)
	return content{body: body, err: err}
}

// readUpload reads a form with a file. The fields come first, as Proxmox VE demands.
func readUpload(r *http.Request) (*upload, error) {
	_, args, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || args["boundary"] == "" {
		return nil, &apiError{code: 501, reason: "upload 'Content-Type '" + r.Header.Get("Content-Type") + "' not implemented", empty: true}
	}
	u := &upload{fields: params{}}
	form := multipart.NewReader(r.Body, args["boundary"])
	for {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF) && u.fields.has("filename"):
			return u, nil
		case err != nil:
			return nil, &apiError{code: 501, reason: "upload failed", empty: true}
		}
		if err := u.take(part); err != nil {
			return nil, err
		}
	}
}

// take reads one part of the form.
func (u *upload) take(part *multipart.Part) error {
	name := part.FormName()
	if part.FileName() == "" {
		value, err := io.ReadAll(io.LimitReader(part, maxHeader))
		if u.fields[name] = strings.TrimSpace(string(value)); err != nil {
			return &apiError{code: 501, reason: "upload failed", empty: true}
		}
		return nil
	}
	if name != "filename" {
		return &apiError{code: 501, reason: "wrong field name '" + name + "' for file upload, expected 'filename'", empty: true}
	}
	u.fields["filename"] = part.FileName()
	return u.keep(part)
}

// headSize is enough of a disk image to tell what is in it.
const headSize = 512

// keep reads a file to its end.
func (u *upload) keep(file io.Reader) error {
	var head bytes.Buffer
	n, err := io.CopyN(&head, file, headSize)
	var sum hash.Hash
	if start, ok := checksums[u.fields["checksum-algorithm"]]; ok {
		sum = start()
		sum.Write(head.Bytes())
	}
	if err == nil {
		var more int64
		to := io.Discard
		if sum != nil {
			to = sum
		}
		more, err = io.Copy(to, file)
		n += more
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return &apiError{code: 501, reason: "upload failed", empty: true}
	}
	u.size, u.head = n, head.Bytes()
	if sum != nil {
		u.sum = hex.EncodeToString(sum.Sum(nil))
	}
	return nil
}
