package whmcs

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// module runs PHP code with the module's classes at hand and reads the JSON that it prints.
func module(t *testing.T, code string, into any) {
	t.Helper()
	needPHP(t)
	const start = `require 'lib/autoload.php'; use WHMCS\Module\Server\Vmline\{Buttons, Fields}; `
	cmd := exec.CommandContext(t.Context(), "php", "-r", start+code)
	cmd.Dir = filepath.Join("..", "..", "..", "deploy", "whmcs", "modules", "servers", "vmline")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("php: %v\n%s", err, out)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// ofWHMCS are the commands for which WHMCS has buttons and functions of its own.
var ofWHMCS = []vmlinev1.Operation_Kind{
	vmlinev1.Operation_KIND_CREATE, vmlinev1.Operation_KIND_SUSPEND, vmlinev1.Operation_KIND_UNSUSPEND, vmlinev1.Operation_KIND_TERMINATE,
	vmlinev1.Operation_KIND_CHANGE_PACKAGE, vmlinev1.Operation_KIND_CHANGE_PASSWORD,
}

// fromWHMCS are parameters that the module knows by itself: no admin enters them.
var fromWHMCS = []chain.Param{chain.ParamPassword, chain.ParamTimeout}

type button struct {
	Verb, Label string
	Options     []string
}

// TestButtonsAreTheCommands holds the admin area's buttons against the table of commands.
func TestButtonsAreTheCommands(t *testing.T) {
	var want, got []button
	for _, r := range chain.Routes() {
		if slices.Contains(ofWHMCS, r.Kind) {
			continue
		}
		b := button{Verb: chain.KindName(r.Kind), Label: r.Mark() + r.Label, Options: []string{}}
		if r.Continues() {
			b.Label += " ->"
		}
		for _, p := range slices.Concat(r.Needs, r.Takes) {
			if !slices.Contains(fromWHMCS, p) {
				b.Options = append(b.Options, string(p))
			}
		}
		want = append(want, b)
	}
	module(t, `echo json_encode(array_map(fn ($v) => ['Verb' => $v, 'Label' => Buttons::label($v), 'Options' => Buttons::options($v)], Buttons::verbs()));`, &got)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the module's buttons are\n%v\nthe commands are\n%v", got, want)
	}
}

// notForSale are the fields of a package that the module fills in by itself.
var notForSale = []string{"customer", "cloud_init.password"}

// TestEveryFieldOfAPackageCanBeSold holds the names of configurable options against the package.
func TestEveryFieldOfAPackageCanBeSold(t *testing.T) {
	var got []string
	module(t, `echo json_encode(array_values(array_unique(array_map(fn ($n) => Fields::place($n), Fields::names()))));`, &got)
	want := slices.DeleteFunc(places(reflect.TypeFor[api.Package](), ""), func(p string) bool { return slices.Contains(notForSale, p) })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the module sells\n%v\na package has\n%v", got, want)
	}
}

// places lists the JSON names of a struct's fields, those of a part behind the part's name.
func places(of reflect.Type, before string) (list []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Type.Kind() == reflect.Struct {
			list = append(list, places(f.Type, before+name+".")...)
		} else {
			list = append(list, before+name)
		}
	}
	return list
}
