package bus

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startCluster runs three servers that form a cluster, until the test ends.
func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	ports := freePorts(t, 3)
	var routes []string
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	var servers []*server.Server
	for i, port := range ports {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i), JetStream: true, StoreDir: t.TempDir(), Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}, Routes: server.RoutesFromStr(strings.Join(routes, ",")),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(testTime) {
			t.Fatal("a server did not start")
		}
	}
	return servers
}

// freePorts finds ports that nobody listens on: every server must know the others' before it starts.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // it was only opened to learn its port
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// TestClusterOfThree runs the fence and a chain on streams with three replicas, where a lost race is
// told by another code and by a leader elsewhere.
func TestClusterOfThree(t *testing.T) {
	t.Parallel()
	servers := startCluster(t)
	var buses []*Bus
	for _, s := range servers {
		// A message that is under way while a new leader is elected comes again after AckWait.
		buses = append(buses, connect(t, s, Options{Retry: quick, AckWait: 2 * time.Second}))
	}
	ctx := testContext(t)
	for {
		// A cluster that has no leader yet refuses or does not answer.
		err := buses[0].Apply(ctx, 3)
		if err == nil {
			break
		}
		if Pause(ctx, 100*time.Millisecond) != nil {
			t.Fatal(err)
		}
	}
	raceWriters(t, buses, 20)
	for _, b := range buses {
		runWorkers(t, b, noWork)
	}
	begin(t, buses[1], "a-1", create)
	until(t, buses[2], "a-1", ended)
	checkLog(t, buses[0], "a-1", create)
	// A replica may lag behind what its leader has told.
	seen := map[string]uint64{}
	for err := error(nil); len(seen) != 2; {
		if Pause(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("saw %v, %v", seen, err)
		}
		err = buses[1].Each(ctx, func(e Entry) error { seen[e.VM.GetRef()] = e.Seq; return nil })
	}
	if _, err := buses[2].Append(ctx, admitted("a-1", create), 1); !errors.Is(err, ErrSuperseded) {
		t.Errorf("got %v, want ErrSuperseded", err)
	}
}
