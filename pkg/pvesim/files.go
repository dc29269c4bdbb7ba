package pvesim

import (
	"encoding/binary"
	"path"
	"regexp"
	"strings"
)

// fileRoutes bring installation media, templates of containers and disk images into a storage.
var fileRoutes = []routeRow{
	{"POST", stPath + "/upload", "/storage/{storage} Datastore.AllocateTemplate", "+file tmpfilename:upload-file", (*call).fileUpload},
	{"POST", stPath + "/download-url", "/storage/{storage} Datastore.AllocateTemplate", "+file compression:string url!:url verify-certificates:bool", (*call).fileDownload},
	{"GET", "/nodes/{node}/query-url-metadata", "", "url!:url verify-certificates:bool", (*call).urlMetadata},
}

// fileKind is a kind of content that comes as files.
type fileKind struct {
	dir   string // below the path of a storage
	name  *regexp.Regexp
	wrong string // what is said about other names
}

var fileKinds = map[string]fileKind{
	"iso":    {"template/iso", regexp.MustCompile(`(?i).\.(iso|img)$`), "wrong file extension"},
	"vztmpl": {"template/cache", regexp.MustCompile(`.\.tar\.(gz|xz|zst|bz2)$`), "wrong file extension"},
	"import": {"import", regexp.MustCompile(`^[A-Za-z0-9_.-]+\.(ova|qcow2|raw|vmdk)$`), "invalid filename or wrong extension"},
}

var (
	beforeName = regexp.MustCompile(`^.*[/\\]`)
	notInName  = regexp.MustCompile(`[^A-Za-z0-9_.-]`)
)

// newFile is the volume that a call will make, once its size is known.
func (q *call) newFile(unsupported string) (*volume, error) {
	s, err := q.c.usable(q.vars["storage"], q.node)
	if err != nil {
		return nil, err
	}
	if !s.files() {
		return nil, fail("can't upload to storage type '%s'", s.Type)
	}
	name := notInName.ReplaceAllString(beforeName.ReplaceAllString(q.p["filename"], ""), "_")
	kind := fileKinds[q.p["content"]]
	if !kind.name.MatchString(name) {
		return nil, badParam("filename", "%s", kind.wrong)
	}
	if !contains(s.Content, q.p["content"]) {
		return nil, fail(unsupported, s.Name, q.p["content"])
	}
	v := &volume{storage: s, node: q.node, name: q.p["content"] + "/" + name, content: q.p["content"], format: strings.TrimPrefix(path.Ext(name), ".")}
	if v.content == "iso" {
		v.format = "iso"
	}
	return v, nil
}

func (q *call) fileUpload() (any, error) {
	v, err := q.newFile("storage '%s' does not support '%s' content")
	if err != nil {
		return nil, err
	}
	if q.upload == nil {
		return nil, fail("missing temporary file name")
	}
	v.size, v.holds = q.upload.size, diskIn(q.upload.head, q.upload.size)
	temporary := "/var/tmp/pveupload-" + strings.ReplaceAll(q.c.uuid(), "-", "")
	return q.fork("imgcopy", "", func(t *task) *job {
		return &job{steps: once(q.c.cfg.Durations.DeleteVolume, func() error {
			t.log("starting file import from: %s", temporary)
			if want := q.p["checksum"]; want != "" && !strings.EqualFold(want, q.upload.sum) {
				return fail("checksum mismatch: got '%s' != expect '%s'", q.upload.sum, want)
			}
			if v.format == "qcow2" && !isQCOW2(q.upload.head) {
				return fail("file_size_info on '%s' failed", temporary)
			}
			t.log("target node: %s\ntarget file: %s\nfile size is: %d\ncommand: cp -- %s %s\nfinished file import successfully", v.node, v.file(), v.size, temporary, v.file())
			return q.place(v)
		})}
	}), nil
}

// place puts a file into its storage, in place of one with the same name.
func (q *call) place(v *volume) error {
	if err := q.room(v.storage, v.node, v.name, v.size); err != nil {
		return err
	}
	v.made = q.c.cfg.Now()
	q.c.volumes[v.storage.key(v.node, v.name)] = v
	return nil
}

// What is behind every URL: the simulator has no network. A disk image holds a disk of 2 GiB.
const (
	downloadSize = int64(600) << 20
	downloadDisk = int64(2) << 30
)

func (q *call) fileDownload() (any, error) {
	if err := q.mayProbe(); err != nil {
		return nil, err
	}
	v, err := q.newFile("storage '%s' is not configured for content-type '%s'")
	if err != nil {
		return nil, err
	}
	v.size, v.holds = downloadSize, downloadDisk
	id := strings.NewReplacer(":", "%3A", "/", "%2F").Replace(path.Base(v.name))
	return q.fork("download", id, func(t *task) *job {
		return &job{steps: once(q.c.cfg.Durations.Backup, func() error {
			t.log("downloading %s to %s", q.p["url"], v.file())
			switch {
			case q.p.has("compression") && v.content != "iso":
				return fail("decompression not supported for %s", v.content)
			case q.c.volume(v.volid(), v.node) != nil:
				return fail("refusing to override existing file '%s'", v.file())
			}
			t.log("download of '%s' to '%s' finished", q.p["url"], v.file())
			return q.place(v)
		})}
	}), nil
}

// mayProbe checks the right to make a node fetch a URL.
func (q *call) mayProbe() error {
	if q.may("/", "Sys.Audit") && q.may("/", "Sys.Modify") || q.may("/nodes/"+q.node, "Sys.AccessNetwork") {
		return nil
	}
	return denied("")
}

func (q *call) urlMetadata() (any, error) {
	if err := q.mayProbe(); err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(q.p["url"], "?")
	return object{"filename": path.Base(name), "size": downloadSize, "mimetype": "application/octet-stream"}, nil
}

func isQCOW2(head []byte) bool { return strings.HasPrefix(string(head), "QFI\xfb") && len(head) >= 32 }

// diskIn is the size of the disk that a file holds.
func diskIn(head []byte, size int64) int64 {
	if isQCOW2(head) {
		return int64(binary.BigEndian.Uint64(head[24:32])) //nolint:gosec // G115: no disk is that large
	}
	return size
}
