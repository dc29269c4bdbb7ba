package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestOrderBecomesOneWholeCommand(t *testing.T) {
	f := start(t)
	p := small()
	p.CloudInit = api.CloudInit{User: "ann", Password: "correct horse"}
	op := f.put("w1-1001", p)
	if op.Status != api.StatusAccepted || op.Type != "create" || op.ServiceRef != "w1-1001" || len(op.Steps) < 10 || op.Steps[0].Status != api.StepPending {
		t.Errorf("operation: %+v", op)
	}
	cmds := f.commands()
	if len(cmds) != 1 {
		t.Fatalf("%d commands", len(cmds))
	}
	cmd := cmds[0]
	sealed := cmd.GetPackage().GetCloudInit().GetSealedPassword()
	if password, err := f.opener.Open(sealed); err != nil || string(password) != "correct horse" {
		t.Errorf("sealed password: %q, %v", password, err)
	}
	p.CloudInit.Password = ""
	p.Name, p.CloneType, p.FirstVMID, p.Readiness, p.Network.Model = "w1-1001", "linked", 100, "running", "virtio"
	p.Firewall = api.Firewall{PolicyIn: "ACCEPT", PolicyOut: "ACCEPT", LogLevelIn: "nolog", LogLevelOut: "nolog"}
	want := &vmlinev1.Command{
		Id: op.ID, Ref: "w1-1001", Kind: vmlinev1.Operation_KIND_CREATE, Package: p.ToProto(sealed),
		PackageDigest: cmd.GetPackageDigest(), CreatedAt: cmd.GetCreatedAt(), RequestedBy: "admin",
	}
	if !proto.Equal(cmd, want) || len(cmd.GetPackageDigest()) != 32 || cmd.GetCreatedAt() == nil {
		t.Errorf("got  %v\nwant %v", cmd, want)
	}
}

func TestFiftyEqualOrdersAtOnceAreOne(t *testing.T) {
	f := start(t)
	ids := make([]string, 50)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			op, err := f.client.PutService(t.Context(), "w1-1", small())
			if err != nil {
				t.Error(err)
			}
			ids[i] = op.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("different operations: %q", ids)
		}
	}
	if n := len(f.commands()); n != 1 {
		t.Errorf("%d commands", n)
	}
}

func TestRepeatedOrderJoins(t *testing.T) {
	f := start(t)
	f.lifecycle()
	first := f.put("w1-1", small())
	f.admitted(first.ID)
	body := `{"cluster":"dc1","template":"debian-13","cores":2,"memory_mib":2048,"network":{"bridge":"vmbr0","ipv4_count":1}}`
	spelledOut := strings.Replace(body, `"cores"`, `"clone_type":"linked","name":"w1-1","cores"`, 1)

	for _, step := range []struct {
		name   string
		status int
		change func(*vmlinev1.VM)
	}{
		{"while it runs", http.StatusAccepted, nil},
		{"once it has ended", http.StatusOK, finish},
	} {
		if step.change != nil {
			f.change("w1-1", step.change)
		}
		for _, b := range []string{body, spelledOut} {
			resp, text := f.call("PUT", "/v1/services/w1-1", b)
			var op api.Operation
			if err := json.Unmarshal([]byte(text), &op); err != nil || resp.StatusCode != step.status || op.ID != first.ID {
				t.Errorf("%s: %d %s", step.name, resp.StatusCode, text)
			}
			if got := resp.Header.Get("Location"); got != "/v1/operations/"+first.ID {
				t.Errorf("%s: Location %q", step.name, got)
			}
		}
	}
	if n := f.sent(); n != 1 {
		t.Errorf("%d commands were sent, want the first order alone", n)
	}
}

func TestOrdersThatCannotBe(t *testing.T) {
	f := start(t)
	f.lifecycle()
	op := f.put("w1-1", small())
	f.admitted(op.ID)
	other := `{"cluster":"dc1","template":"debian-13","cores":4,"memory_mib":2048,"network":{"bridge":"vmbr0"}}`

	resp, body := f.call("PUT", "/v1/services/w1-1", other)
	p := f.wantProblem(resp, body, http.StatusConflict, api.TypeOperationInProgress)
	if !strings.Contains(p.Detail, op.ID) || p.Next == "" {
		t.Errorf("problem: %+v", p)
	}
	f.change("w1-1", park)
	f.change("w1-1", func(vm *vmlinev1.VM) { vm.Operation.Goal = vmlinev1.Operation_KIND_CHANGE_PACKAGE })
	resp, body = f.act("w1-1", `{"type":"start"}`, newText())
	f.wantProblem(resp, body, http.StatusConflict, api.TypeConflict)
	resp, body = f.call("DELETE", "/v1/services/w1-2", "")
	f.wantProblem(resp, body, http.StatusNotFound, api.TypeNotFound)
	if n := f.sent(); n != 1 {
		t.Errorf("%d commands were sent, want the first order alone", n)
	}
}

func TestDelete(t *testing.T) {
	f := start(t)
	f.lifecycle()
	created := f.put("w1-1", small())
	f.admitted(created.ID)
	deleted, err := f.client.DeleteService(t.Context(), "w1-1")
	if err != nil || deleted.Type != "terminate" || deleted.ID == created.ID {
		t.Fatalf("%+v, %v", deleted, err)
	}
	f.admitted(deleted.ID)
	f.change("w1-1", finish)
	if again, err := f.client.DeleteService(t.Context(), "w1-1"); err != nil || again.ID != deleted.ID || again.Status != api.StatusSucceeded {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	anew := f.put("w1-1", small())
	if anew.ID == created.ID || anew.Status != api.StatusAccepted {
		t.Errorf("ordered again after the end: %+v", anew)
	}
}

func TestParkedOrderCanBeRepeated(t *testing.T) {
	f := start(t)
	f.lifecycle()
	first := f.put("w1-1", small())
	f.admitted(first.ID)
	f.change("w1-1", park)
	second := f.put("w1-1", small())
	if second.ID == first.ID {
		t.Error("the repetition is lost in the parked operation")
	}
	f.admitted(second.ID)
}

func TestRefusedOrderCanBeRepeated(t *testing.T) {
	f := start(t)
	f.lifecycle()
	p := small()
	p.Cluster = refusedCluster
	first := f.put("w1-1", p)
	refused, err := f.client.GetOperation(t.Context(), first.ID, maxWait)
	if err != nil || refused.Status != api.StatusRefused || refused.Error.Cause != "There is no such cluster." || refused.Error.Next == "" {
		t.Fatalf("%+v, %v", refused, err)
	}
	if second := f.put("w1-1", p); second.ID == first.ID {
		t.Error("the repetition is the refused operation again")
	}
}

func TestBrokerDown(t *testing.T) {
	f := start(t)
	f.stopNATS()
	for _, r := range []struct{ method, path, body string }{
		{"PUT", "/v1/services/w1-1", `{"cluster":"dc1","template":"t","cores":1,"memory_mib":512,"network":{"bridge":"vmbr0"}}`},
		{"DELETE", "/v1/services/w1-1", ""}, {"GET", "/v1/services/w1-1", ""}, {"GET", "/v1/services", ""},
		{"GET", "/v1/operations/w1-1.x?wait=20", ""}, {"GET", "/v1/events", ""}, {"GET", "/readyz", ""},
	} {
		resp, body := f.call(r.method, r.path, r.body)
		f.wantProblem(resp, body, http.StatusServiceUnavailable, api.TypeBrokerUnavailable)
		if resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: no Retry-After", r.method, r.path)
		}
	}
	if resp, body := f.call("GET", "/livez", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("livez: %d %s", resp.StatusCode, body)
	}
}

func TestFullCommandStream(t *testing.T) {
	f := start(t)
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), bus.StreamCMD)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgs = 1
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	f.put("w1-1", small())
	_, err = f.client.PutService(t.Context(), "w1-2", small())
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || p.Type != api.TypeQueueFull {
		t.Errorf("got %v", err)
	}
}

func TestOrderTooLargeToBeStored(t *testing.T) {
	f := start(t)
	p := small()
	key := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGL0KqeXzh0gQcbUq8Q1nGQ4hHIbVJvWnQ3BqZc3mWQX "
	p.CloudInit.SSHKeys = []string{key + strings.Repeat("a", 300<<10)}
	_, err := f.client.PutService(t.Context(), "w1-1", p)
	var problem *api.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusRequestEntityTooLarge || problem.Type != api.TypeTooLarge {
		t.Errorf("got %v", err)
	}
}

func TestHostName(t *testing.T) {
	for ref, want := range map[string]string{
		"w1-1001": "w1-1001", "Shop_A-7": "shop-a-7", "___": "vm", "-a-": "a", strings.Repeat("a", 62) + "__": strings.Repeat("a", 62),
	} {
		if got := hostName(ref); got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}

// commands reads the command stream.
func (f *fixture) commands() []*vmlinev1.Command {
	f.Helper()
	var cmds []*vmlinev1.Command
	for _, m := range f.messages(bus.StreamCMD) {
		cmd := &vmlinev1.Command{}
		if err := proto.Unmarshal(m.Data, cmd); err != nil {
			f.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	return cmds
}

// sent is how many commands were ever stored. Those that a lifecycle has taken are among them.
func (f *fixture) sent() uint64 {
	f.Helper()
	js, err := jetstream.New(f.conn)
	if err != nil {
		f.Fatal(err)
	}
	stream, err := js.Stream(f.Context(), bus.StreamCMD)
	if err != nil {
		f.Fatal(err)
	}
	return stream.CachedInfo().State.LastSeq
}

// messages reads every message of a stream.
func (f *fixture) messages(name string) []*jetstream.RawStreamMsg {
	f.Helper()
	js, err := jetstream.New(f.conn)
	if err != nil {
		f.Fatal(err)
	}
	stream, err := js.Stream(f.Context(), name)
	if err != nil {
		f.Fatal(err)
	}
	state := stream.CachedInfo().State
	var msgs []*jetstream.RawStreamMsg
	for seq := state.FirstSeq; state.Msgs > 0 && seq <= state.LastSeq; seq++ {
		m, err := stream.GetMsg(f.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			f.Fatal(err)
		}
		msgs = append(msgs, m)
	}
	return msgs
}
