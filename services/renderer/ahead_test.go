// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asking renders a path as a child does, with what is sent ahead or without,
// and returns the questions that it asked.
func asking(t *testing.T, tr *tree, root string, sent *ahead) (out reply, asked readSet, questions int) {
	t.Helper()
	incoming, toParent := io.Pipe()
	fromParent, answers := io.Pipe()
	asked = readSet{}
	done := make(chan error, 1)
	go func() {
		for {
			what, body, err := readFrame(incoming, 1<<20)
			if err != nil {
				done <- err
				return
			}
			op, name := operation(body[0]), string(body[1:])
			a, err := tr.ask(op, name)
			if err == nil && what != frameQuestion {
				err = errFrame
			}
			asked.record(op, name, a)
			questions++
			if err := errors.Join(err, writeFrame(answers, frameAnswer, a.encode())); err != nil {
				done <- err
				return
			}
		}
	}()
	c := &client{r: fromParent, w: toParent, room: 1 << 20}
	if sent != nil {
		var err error
		if c.known, err = readAhead(bytes.NewReader(sent.frames), len(sent.sent)); err != nil {
			t.Fatal(err)
		}
	}
	out = c.render(root)
	if sent != nil {
		if err := sent.record(c.known.used(), asked); err != nil {
			t.Fatal(err)
		}
	}
	_ = toParent.Close() // it never fails
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return out, asked, questions
}

// With answers sent ahead a render comes to the same and has read the same, and
// asks nothing more where all lies in its folder.
func TestAheadIsWhatAChildWouldAsk(t *testing.T) {
	files := application(3)
	files["plain/below/deeper/o.yaml"] = configMap("below", "v")
	files["plain/.hidden/x.yaml"] = "{"
	files["plain/README.md"] = "Not read.\n"
	files["base/unlisted.yaml"] = "{"
	files["broken/a.yaml"] = "{"
	files["broken/b.yaml"] = configMap("b", "v")
	tr := unpacked(t, files)
	for root, more := range map[string]bool{
		"plain": false, "./plain/below/": false, "base": false, "overlay": true, "broken": false, "none": false, "plain/README.md": false,
	} {
		sent, err := foresee(tr, root)
		if err != nil {
			t.Fatal(err)
		}
		alone, all, _ := asking(t, tr, root, nil)
		out, read, questions := asking(t, tr, root, sent)
		if diff := cmp.Diff(alone, out); diff != "" {
			t.Errorf("%s: another result (-alone +ahead):\n%s", root, diff)
		}
		if questions > 0 != more {
			t.Errorf("%s: %d questions were asked still", root, questions)
		}
		if diff := cmp.Diff(all, read); diff != "" {
			t.Errorf("%s: another read set (-alone +ahead):\n%s", root, diff)
		}
	}
}

// Answers that don't fit are left to the child.
func TestAheadIsBounded(t *testing.T) {
	files := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		files["plain/"+name+".yaml"] = configMap(name, string(bytes.Repeat([]byte("x"), maxAheadBytes*2/3)))
	}
	tr := unpacked(t, files)
	sent, err := foresee(tr, "plain")
	if err != nil {
		t.Fatal(err)
	}
	if len(sent.frames) > 2*maxAheadBytes {
		t.Errorf("%d bytes are sent ahead", len(sent.frames))
	}
	out, err := testPool(t, 1, testLimits).render(t.Context(), tr, "plain")
	if err != nil || out.Failure != nil || len(out.Objects) != len(files) || len(out.reads) != 9 {
		t.Errorf("%d objects, %d reads, %+v, %v", len(out.Objects), len(out.reads), out.Failure, err)
	}
}
