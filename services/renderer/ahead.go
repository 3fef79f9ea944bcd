// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"encoding/binary"
	"path"
	"slices"
	"strings"
)

// What is sent ahead of one render at most; the child asks for the rest.
const (
	maxAhead      = 512     // answers
	maxAheadBytes = 1 << 20 // of names and answers
)

// ahead are the answers to the questions that a child is likely to ask, sent
// with its request: each question otherwise waits for two processes to get
// their turn. What the child says that it has used counts as read.
type ahead struct {
	tree   *tree
	frames []byte
	sent   []question
}

// question is one that was foreseen, and what identifies its answer.
type question struct {
	op     operation
	name   string
	digest string
}

// foresee puts together what is sent ahead of a render of a path. An error
// means that the source is broken.
func foresee(t *tree, root string) (*ahead, error) {
	a := &ahead{tree: t}
	root = path.Clean(root)
	at, err := a.answer(opStat, root)
	if err != nil || at.Kind != kindDirectory {
		return a, err
	}
	kustomized := false
	for _, name := range kustomizationNames {
		found, err := a.answer(opStat, path.Join(root, name))
		if err != nil {
			return a, err
		}
		kustomized = kustomized || found.Kind == kindFile
	}
	if !kustomized {
		return a, a.folder(root, false)
	}
	for _, name := range kustomizationNames {
		if _, err := a.answer(opRead, path.Join(root, name)); err != nil {
			return a, err
		}
	}
	return a, a.folder(root, true)
}

// folder foresees the walk of a plain folder with those below it, or what the
// kustomization of a folder may list of it.
func (a *ahead) folder(name string, kustomized bool) error {
	list, err := a.tree.ask(opList, name)
	if err == nil && !kustomized {
		_, err = a.answer(opList, name)
	}
	if err != nil {
		return err
	}
	for _, e := range list.Entries {
		below := path.Join(name, e.Name)
		switch {
		case a.full() || strings.HasPrefix(e.Name, "."):
		case e.Kind == kindDirectory && !kustomized:
			err = a.folder(below, false)
		case e.Kind == kindFile && slices.Contains(extensions, path.Ext(e.Name)):
			err = a.file(below, kustomized)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file foresees the look at a file: kustomize asks what it is before it reads.
func (a *ahead) file(name string, kustomized bool) error {
	if kustomized {
		if _, err := a.answer(opStat, name); err != nil {
			return err
		}
	}
	_, err := a.answer(opRead, name)
	return err
}

func (a *ahead) full() bool { return len(a.sent) >= maxAhead || len(a.frames) >= maxAheadBytes }

// answer asks the tree. What is too large to be sent ahead is left to the
// child.
func (a *ahead) answer(op operation, name string) (answer, error) {
	q := question{op: op, name: name}
	found, err := a.tree.ask(op, name)
	if err != nil || len(found.Data) > maxAheadBytes || len(name) > maxPath {
		return found, err
	}
	q.digest = found.digest
	a.frames = appendFrame(a.frames, frameAhead, foreseen(op, name, found))
	a.sent = append(a.sent, q)
	return found, nil
}

// record takes what a child has used into what it has read.
func (a *ahead) record(used []int, reads readSet) error {
	for _, i := range used {
		if i < 0 || i >= len(a.sent) {
			return errFrame
		}
		q := a.sent[i]
		reads.record(q.op, q.name, answer{digest: q.digest})
	}
	return nil
}

// knownAnswers are those that a child holds before it asks, by question.
type knownAnswers map[string]*knownAnswer

type knownAnswer struct {
	answer
	place int // among those that were sent
	used  bool
}

// find returns an answer, which is used then.
func (k knownAnswers) find(op operation, name string) (answer, bool) {
	a, ok := k[string(op)+name]
	if !ok {
		return answer{}, false
	}
	a.used = true
	return a.answer, true
}

// used are the places of the answers that were used.
func (k knownAnswers) used() []int {
	var used []int
	for _, a := range k {
		if a.used {
			used = append(used, a.place)
		}
	}
	slices.Sort(used)
	return used
}

// foreseen encodes a question, its length in 2 bytes before it, and its
// answer.
func foreseen(op operation, name string, a answer) []byte {
	out := binary.BigEndian.AppendUint16(nil, uint16(1+len(name))) //nolint:gosec // at most maxPath
	out = append(append(out, byte(op)), name...)
	return append(out, a.encode()...)
}

// decodeForeseen is the inverse of foreseen.
func decodeForeseen(body []byte) (question string, a answer, err error) {
	if len(body) < 2 {
		return "", answer{}, errFrame
	}
	n := int(binary.BigEndian.Uint16(body))
	if n == 0 || len(body) < 2+n {
		return "", answer{}, errFrame
	}
	question = string(body[2 : 2+n])
	a, err = decodeAnswer(operation(question[0]), body[2+n:])
	return question, a, err
}
