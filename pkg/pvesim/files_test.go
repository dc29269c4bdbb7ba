package pvesim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// image is a qcow2 file of some length that holds a disk of 3 GiB.
func image(length int) []byte {
	b := make([]byte, length)
	copy(b, "QFI\xfb")
	binary.BigEndian.PutUint64(b[24:], 3<<30)
	return b
}

// fileForm is a file with fields before it, as a form.
func fileForm(fields, name string, file []byte) (contentType string, body *bytes.Buffer) {
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for _, pair := range strings.Split(fields, "&") {
		k, v, _ := strings.Cut(pair, "=")
		_ = w.WriteField(k, v)
	}
	part, _ := w.CreateFormFile("filename", name)
	_, _ = part.Write(file)
	_ = w.Close()
	return w.FormDataContentType(), body
}

// upload sends a file over a connection and returns the answer.
func (s *sim) upload(addr, storage, fields, name string, file []byte) string {
	s.t.Helper()
	kind, body := fileForm(fields, name, file)
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+addr+"/api2/json/nodes/pve1/storage/"+storage+"/upload", body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Authorization", "PVEAPIToken="+s.token)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.Status + " " + string(b)
}

func TestUpload(t *testing.T) {
	s := newSim(t)
	addr := listen(t, s.Cluster)
	big := image(maxBody + maxHeader + 1000) // more than other calls may send
	sum := sha256.Sum256(big)
	for _, c := range []struct {
		storage, fields, name string
		file                  []byte
		answer, exit          string
	}{
		{"local", "content=import&checksum-algorithm=sha256&checksum=" + hex.EncodeToString(sum[:]), "dir/cloud image.qcow2", big, "200 OK", "OK"},
		{"local", "content=iso", "install.ISO", []byte("CD001 and so on"), "200 OK", "OK"},
		{"local", "content=import&checksum-algorithm=md5&checksum=00", "b.qcow2", image(600), "200 OK", "checksum mismatch: got '"},
		{"local", "content=import", "c.qcow2", make([]byte, 600), "200 OK", "file_size_info on '/var/tmp/pveupload-"},
		{"local", "content=iso", "install.exe", nil, "400 Parameter verification failed.", "wrong file extension"},
		{"shared1", "content=iso", "install.iso", nil, "500 storage 'shared1' does not support 'iso' content", ""},
		{"local-lvm", "content=iso", "install.iso", nil, "500 can't upload to storage type 'lvmthin'", ""},
		{"local", "content=backup", "install.iso", nil, "400 Parameter verification failed.", "enumeration 'iso, vztmpl, import'"},
	} {
		got := s.upload(addr, c.storage, c.fields, c.name, c.file)
		if !strings.HasPrefix(got, c.answer) {
			t.Errorf("%s: %s", c.name, got)
		}
		if _, upid, ok := strings.Cut(got, `"data":"`); ok {
			got = s.ended(strings.TrimSuffix(upid, `"}`))
		}
		if !strings.Contains(got, c.exit) {
			t.Errorf("%s: %s, want %s", c.name, got, c.exit)
		}
	}
	list := s.data("GET", "/nodes/pve1/storage/local/content", "content=import").([]any)
	if got := fmt.Sprint(list); len(list) != 1 || !strings.Contains(got, "volid:local:import/cloud_image.qcow2") || strings.Contains(got, "vmid") {
		t.Errorf("%s", got)
	}
	if got := s.data("GET", "/nodes/pve1/storage/local/content/iso/install.ISO", "").(map[string]any); got["path"] != "/var/lib/vz/template/iso/install.ISO" || got["format"] != "iso" {
		t.Errorf("%v", got)
	}
	s.refused("POST", "/nodes/pve1/storage/local/upload", "content=iso&filename=x.iso", 500, "missing temporary file name")
}

// TestTemplateFromAnImage is the way from a cloud image on the web to a machine.
func TestTemplateFromAnImage(t *testing.T) {
	s := newSim(t)
	const get = "content=import&filename=debian.qcow2&url=https://example.com/debian.qcow2?x=1"
	if got := s.data("GET", "/nodes/pve1/query-url-metadata", "url=https://example.com/a/debian.iso?x=1").(map[string]any); got["filename"] != "debian.iso" {
		t.Errorf("%v", got)
	}
	s.ends("POST", "/nodes/pve1/storage/local/download-url", get, "OK")
	s.ends("POST", "/nodes/pve1/storage/local/download-url", get, "refusing to override existing file '/var/lib/vz/import/debian.qcow2'")
	s.ends("POST", "/nodes/pve1/storage/local/download-url", "content=iso&filename=a.iso&url=https://example.com/a.iso", "OK")
	s.ends("POST", "/nodes/pve1/qemu", "vmid=300&scsi0=local-lvm:0,import-from=local:import/debian.qcow2,discard=on&ide2=local:iso/a.iso,media=cdrom&ide0=shared1:cloudinit", "OK")
	for key, want := range map[string]any{"scsi0": "local-lvm:vm-300-disk-0,discard=on,size=2G", "ide2": "local:iso/a.iso,media=cdrom,size=600M"} {
		if got := s.conf(300, key); got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
	upid := s.begin("POST", "/nodes/pve1/qemu/300/migrate", "target=pve2")
	if log := strings.Join(s.task(upid).Log, "\n"); s.ended(upid) != "migration aborted" || !strings.Contains(log, "can't migrate local disk 'local:iso/a.iso': local cdrom image") {
		t.Errorf("%s", log)
	}
	s.ends("POST", "/nodes/pve1/qemu/300/template", "", "OK")
	s.ends("POST", "/nodes/pve1/qemu/300/clone", "newid=301", "OK")
	s.ends("POST", "/nodes/pve1/qemu/301/status/start", "", "OK")
	for disk, reason := range map[string]string{
		"local-lvm:5,import-from=local:import/debian.qcow2": "400 " + `"scsi1":"'import-from' requires special syntax - use`,
		"local-lvm:0,import-from=local:iso/a.iso":           "400 " + `"scsi1":"local:iso/a.iso has wrong type 'iso' - needs to be 'images' or 'import'"`,
		"local-lvm:0,import-from=nosuch:import/a.qcow2":     "500 " + `storage 'nosuch' does not exist`,
		"local-lvm:0,import-from=/root/a.qcow2":             "500 " + `Only root can pass arbitrary filesystem paths.`,
		"local-lvm:0,import-from=local:import/gone.qcow2":   "500 " + `volume 'local:import/gone.qcow2' does not exist`,
	} {
		got := s.do("PUT", "/nodes/pve1/qemu/301/config", "scsi1="+disk)
		if code, text, _ := strings.Cut(reason, " "); fmt.Sprint(got.code) != code || !strings.Contains(string(got.body), text) {
			t.Errorf("%s: %d %s, want %s", disk, got.code, got.body, reason)
		}
	}
	s.ends("POST", "/nodes/pve1/qemu/301/status/stop", "", "OK")
	s.ends("DELETE", "/nodes/pve1/qemu/301", "destroy-unreferenced-disks=1", "OK")
	if got := s.data("GET", "/nodes/pve1/storage/local/content", "").([]any); len(got) != 2 {
		t.Errorf("the files went with the machine: %v", got)
	}
	s.ends("DELETE", "/nodes/pve1/storage/local/content/local:iso/a.iso", "", "OK")
}
