// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// inventoryOf reads an inventory as it lies in the cluster. One that can't be
// read has no application's name in it but that of its ConfigMap.
func inventoryOf(u *unstructured.Unstructured) Inventory {
	inv := Inventory{
		App: strings.TrimPrefix(u.GetName(), "inventory."), UID: string(u.GetUID()), Version: number(u.GetResourceVersion()),
	}
	data, _, err := unstructured.NestedStringMap(u.Object, "data")
	if err != nil {
		inv.Unread = true
		return inv
	}
	inv.Unread = json.Unmarshal([]byte(data["fence"]), &inv.Fence) != nil || inv.Fence.Epoch == ""
	var policy struct {
		Withheld bool `json:"withheld"`
	}
	_ = json.Unmarshal([]byte(data["policy"]), &policy) // as above
	inv.Withheld = policy.Withheld
	packed, _, err := unstructured.NestedString(u.Object, "binaryData", "entries")
	if err != nil {
		return inv
	}
	inv.Entries, _ = entriesOf(packed) // as above: nothing in it lets nothing be deleted
	return inv
}

func entriesOf(packed string) (map[string]Entry, error) {
	zipped, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		return nil, err
	}
	zip, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		return nil, err
	}
	var list []struct {
		Group, Kind, Namespace, Name string
		Entry
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	entries := map[string]Entry{}
	for _, e := range list {
		entries[e.Group+"/"+e.Kind+"/"+e.Namespace+"/"+e.Name] = e.Entry
	}
	return entries, nil
}

// namespace and name are the last two parts of an object's key.
func (s State) namespace() string { return strings.Split(s.Key, "/")[2] }
func (s State) name() string      { return strings.Split(s.Key, "/")[3] }
func (s State) kind() string      { return strings.Split(s.Key, "/")[1] }
