package pvesim

import "encoding/base64"

// agentFileWrite writes a file in the guest.
func (q *call) agentFileWrite() (any, error) {
	v, err := q.agent()
	if err != nil {
		return nil, err
	}
	text := q.p["content"]
	if q.p.str("encode", "1") == "0" { // the caller has done so
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fail("Agent error: failed to decode 'buf-b64': %s", err)
		}
		text = string(decoded)
	}
	if v.files == nil {
		v.files = map[string]string{}
	}
	v.files[q.p["file"]] = text
	return nil, nil
}

// agentFileRead reads a file that the agent has written; a guest has no others.
func (q *call) agentFileRead() (any, error) {
	v, err := q.agent()
	if err != nil {
		return nil, err
	}
	text, ok := v.files[q.p["file"]]
	if !ok {
		return nil, fail("Agent error: failed to open file '%s' (mode: 'r'): No such file or directory", q.p["file"])
	}
	text = text[min(q.p.int("offset", 0), len(text)):]
	count := q.p.int("count", 16<<20)
	o := object{"truncated": flag(len(text) > count)}
	text = text[:min(count, len(text))]
	o["bytes-read"] = len(text)
	if o["content"] = text; q.p.str("decode", "1") == "0" {
		o["content"] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	if o["truncated"] == 0 {
		delete(o, "truncated")
	}
	return o, nil
}
