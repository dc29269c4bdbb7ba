package pve

import (
	"testing"

	"pgregory.net/rapid"
)

func TestParseDrive(t *testing.T) {
	for _, test := range []struct{ in, volume, storage, out string }{
		{"local:101/vm-101-disk-0.qcow2,size=1G,iothread=1", "local:101/vm-101-disk-0.qcow2", "local", ""},
		{"local:9000/base-9000-disk-0.raw/102/vm-102-disk-0.qcow2,size=2G", "local:9000/base-9000-disk-0.raw/102/vm-102-disk-0.qcow2", "local", ""},
		{"ceph-1:vm-101-disk-0,mbps_rd=12.5,serial=a%20b,future=x=y", "ceph-1:vm-101-disk-0", "ceph-1", ""},
		{"none,media=cdrom", "none", "", ""},
		{"/dev/disk/by-id/x:y,size=8G", "/dev/disk/by-id/x:y", "", ""},
		{"size=1G,file=local:x", "local:x", "local", "local:x,size=1G"},
		{"local:x,,size=1G", "local:x", "local", "local:x,size=1G"},
		{"local:iso/a=b.iso,media=cdrom", "local:iso/a=b.iso", "local", ""},
	} {
		d, err := ParseDrive(test.in)
		if err != nil || d.Volume != test.volume || d.Storage() != test.storage {
			t.Errorf("%s: %+v, %v", test.in, d, err)
		}
		if want := test.out; want == "" && d.String() != test.in || want != "" && d.String() != want {
			t.Errorf("%s came back as %s", test.in, d)
		}
	}
	for _, bad := range []string{"", ",", "size=1G", "local:x,local:y", "local:x,file=local:y", "local:x,size=1G,size=2G"} {
		if d, err := ParseDrive(bad); err == nil {
			t.Errorf("%q is %+v", bad, d)
		}
	}
}

func TestDriveSize(t *testing.T) {
	for in, want := range map[string]int64{"10G": 10 << 30, "4M": 4 << 20, "512K": 512 << 10, "1T": 1 << 40, "1.5G": 3 << 29, "77": 77} {
		if got, ok := (Drive{Volume: "x", Options: Options{{"size", in}}}).Size(); !ok || got != want {
			t.Errorf("%s: %d, %v", in, got, ok)
		}
	}
	for _, bad := range []string{"", "G", "-1G", "1e3", "NaN", "Inf", "0x1p3", "1_0", "99999999999999T", "1..2"} {
		if got, ok := (Drive{Options: Options{{"size", bad}}}).Size(); ok {
			t.Errorf("%q is %d", bad, got)
		}
	}
	if _, ok := (Drive{}).Size(); ok {
		t.Error("no size is a size")
	}
}

func TestDriveKinds(t *testing.T) {
	for in, want := range map[string][2]bool{
		"local:101/vm-101-cloudinit.qcow2,media=cdrom": {true, true},
		"local-lvm:vm-101-cloudinit,media=cdrom":       {true, true},
		"local:cloudinit":                              {false, true},
		"local:iso/debian.iso,media=cdrom":             {true, false},
		"local:101/vm-101-disk-0.qcow2":                {false, false},
	} {
		d, _ := ParseDrive(in)
		if got := [2]bool{d.CDROM(), d.CloudInit()}; got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestCopiesOfOptionsAreTheirOwn(t *testing.T) {
	old, _ := ParseDrive("local:x,a=1,b=2")
	changed := old
	changed.Options.Set("a", "9")
	changed.Options.Delete("b")
	changed.Options.Set("c", "3")
	if old.String() != "local:x,a=1,b=2" || changed.String() != "local:x,a=9,c=3" {
		t.Errorf("%s, %s", old, changed)
	}
	if old.Options.Equal(changed.Options) || !(Options{{"a", "1"}, {"b", "2"}}).Equal(Options{{"b", "2"}, {"a", "1"}}) {
		t.Error("Equal")
	}
}

// genOptions draws options with keys that Proxmox may come to know.
func genOptions(t *rapid.T) Options {
	var opts Options
	for key, value := range rapid.MapOfN(rapid.StringMatching(`[a-z][a-z0-9_-]{0,12}`), rapid.StringMatching(`[^,\s][^,]{0,20}`), 0, 8).Draw(t, "options") {
		if key != "file" && key != "model" && key != "macaddr" && !nicModels[key] {
			opts.Set(key, value)
		}
	}
	return opts
}

// TestDriveRoundTrip: one option changed, all others as they were.
func TestDriveRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Drive{Volume: rapid.StringMatching(`[a-z][a-z0-9-]{0,9}:[A-Za-z0-9/._=-]{1,30}`).Draw(t, "volume"), Options: genOptions(t)}
		got, err := ParseDrive(d.String())
		if err != nil || got.Volume != d.Volume || !got.Options.Equal(d.Options) || got.String() != d.String() {
			t.Fatalf("%s came back as %s, %v", d, got, err)
		}
		got.Options.Set("mbps_rd", "12")
		again, err := ParseDrive(got.String())
		if v, _ := again.Options.Get("mbps_rd"); err != nil || v != "12" {
			t.Fatalf("%s: %v", got, err)
		}
		for _, o := range d.Options {
			if v, ok := again.Options.Get(o.Key); o.Key != "mbps_rd" && (!ok || v != o.Value) {
				t.Fatalf("%s lost %s", again, o.Key)
			}
		}
	})
}

func FuzzParseDrive(f *testing.F) {
	for _, s := range []string{"local:101/vm-101-disk-0.qcow2,size=1G", "file=x=y,a=b", "a=b,,c", ",x", "none,media=cdrom", "file==,a=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDrive(s)
		if err != nil {
			return
		}
		again, err := ParseDrive(d.String())
		if err != nil || again.String() != d.String() || again.Volume != d.Volume || !again.Options.Equal(d.Options) {
			t.Fatalf("%q: %q, then %q, %v", s, d, again, err)
		}
		d.Size()
		d.CDROM()
		d.CloudInit()
	})
}
