package gateway

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"testing"

	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

var update = flag.Bool("update", false, "write openapi.yaml anew")

// TestOpenAPIDocumentIsUpToDate holds the document in the repository against the code.
func TestOpenAPIDocumentIsUpToDate(t *testing.T) {
	api := humago.New(http.NewServeMux(), apiConfig())
	new(gateway).register(api)
	want, err := api.OpenAPI().YAML()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.yaml", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("openapi.yaml is old; run: go test ./services/gateway -run OpenAPI -update")
	}
}
