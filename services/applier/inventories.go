// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/rewind"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

const (
	// systemNamespace holds the inventories, and nothing that an application
	// may declare.
	systemNamespace = "plumbline-system"
	// labelInventory marks an inventory.
	labelInventory = "plumbline.dev/inventory"

	keyApplication = "application"
	keyFence       = "fence"
	keyPolicy      = "policy"
	keyEntries     = "entries"
)

// errInventoryChanged says that someone else has written an inventory since
// it was read: read again and decide again.
var errInventoryChanged = errors.New("the inventory was changed by another applier")

// inventories are the inventories of one cluster: kept up to date by a watch,
// written with preconditions. It may be used from several goroutines.
type inventories struct {
	past
	client corev1client.CoreV1Interface
	byName map[string]stored // by ConfigMap name; past.mu guards it
}

// stored is one ConfigMap as last seen.
type stored struct {
	Inventory
	broken error // it can't be decoded
}

func newInventories(client corev1client.CoreV1Interface, rewound func()) *inventories {
	return &inventories{past: past{rewound: rewound}, client: client, byName: map[string]stored{}}
}

// inventoryClient is a client for inventories. They are Plumbline's own, and of a
// kind that is never another: they travel as protobuf, which takes a fraction of
// what JSON does, here and in the API server.
func inventoryClient(rc *rest.Config) (*corev1client.CoreV1Client, error) {
	rc = rest.CopyConfig(rc)
	rc.ContentType = runtime.ContentTypeProtobuf
	rc.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return corev1client.NewForConfig(rc)
}

// inventoryName is the name of an application's ConfigMap.
func inventoryName(application string) string {
	name := "inventory." + application
	if len(validation.IsDNS1123Subdomain(name)) == 0 {
		return name
	}
	sum := sha256.Sum256([]byte(application))
	return "inventory." + hex.EncodeToString(sum[:16])
}

func inventoryObject(application string) events.Object {
	return events.Object{Version: "v1", Kind: "ConfigMap", Namespace: systemNamespace, Name: inventoryName(application)}
}

// get returns the inventory of an application as last seen or written. A
// missing one is empty; one that can't be read counts as missing, but for its
// resourceVersion: it is rebuilt and written over.
func (s *inventories) get(application string) (inv Inventory, found bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.byName[inventoryName(application)]
	if !ok || e.broken != nil {
		return Inventory{Application: application, ResourceVersion: e.ResourceVersion, UID: e.UID}, false
	}
	return e.Inventory, true
}

// all returns every inventory, by application.
func (s *inventories) all() []Inventory {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []Inventory
	for _, e := range s.byName {
		if e.broken == nil {
			list = append(list, e.Inventory)
		}
	}
	slices.SortFunc(list, func(a, b Inventory) int {
		if a.Application < b.Application {
			return -1
		}
		return 1
	})
	return list
}

// holds says whether an application's inventory has an object and doesn't offer
// it to the one that asks; known is false where there is no inventory.
func (s *inventories) holds(application, key, asks string) (holds, known bool) {
	inv, found := s.get(application)
	e, holds := inv.Entries[key]
	return holds && (e.Offered == "" || e.Offered != asks), found
}

// write stores inv if nobody has written it since it was read, and returns it
// with its new resourceVersion. Its error is errInventoryChanged where
// someone has.
func (s *inventories) write(ctx context.Context, inv Inventory) (written Inventory, err error) {
	ctx, span := telemetry.Start(ctx, "inventory write")
	defer func() { telemetry.End(span, err, why(err)) }()
	body, err := encodeInventory(inv)
	if err != nil {
		return inv, err
	}
	client := s.client.ConfigMaps(systemNamespace)
	var out *corev1.ConfigMap
	if inv.ResourceVersion != "" {
		out, err = client.Update(ctx, body, metav1.UpdateOptions{FieldManager: manifest.FieldManager})
	} else {
		out, err = client.Create(ctx, body, metav1.CreateOptions{FieldManager: manifest.FieldManager})
		if apierrors.IsNotFound(err) { // the namespace
			if err := createNamespace(ctx, s.client, systemNamespace); err != nil {
				return inv, fmt.Errorf("create namespace %s: %w", systemNamespace, err)
			}
			out, err = client.Create(ctx, body, metav1.CreateOptions{FieldManager: manifest.FieldManager})
		}
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || inv.ResourceVersion != "" && apierrors.IsNotFound(err) {
		if err := s.refresh(ctx, inv.Application); err != nil {
			return inv, err
		}
		return inv, fmt.Errorf("write the inventory of %s: %w", inv.Application, errInventoryChanged)
	}
	if err != nil {
		return inv, fmt.Errorf("write the inventory of %s: %w", inv.Application, explain(inventoryObject(inv.Application), err))
	}
	inv.ResourceVersion, inv.UID = out.ResourceVersion, string(out.UID)
	s.keep(out.Name, stored{Inventory: inv})
	return inv, nil
}

// confirm reads the inventory from the API server and says whether it is
// still the one with inv's resourceVersion.
func (s *inventories) confirm(ctx context.Context, inv Inventory) error {
	if err := s.refresh(ctx, inv.Application); err != nil {
		return err
	}
	if now, _ := s.get(inv.Application); now.ResourceVersion != inv.ResourceVersion {
		return fmt.Errorf("confirm the fence of %s: %w", inv.Application, errInventoryChanged)
	}
	return nil
}

// refresh reads one inventory from the API server.
func (s *inventories) refresh(ctx context.Context, application string) error {
	name := inventoryName(application)
	s.mu.RLock()
	known, life := s.byName[name], s.life
	s.mu.RUnlock()
	out, err := s.client.ConfigMaps(systemNamespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s.drop(name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the inventory of %s: %w", application, err)
	}
	if e := decodeInventory(out); !rewind.Outdated(e.UID, e.ResourceVersion, known.UID, known.ResourceVersion, known.ResourceVersion) {
		s.keep(name, e)
	} else if s.replaceOutdated(name, e, known, life) { // what was known before it was asked for is the older past
		s.rewound()
	}
	return nil
}

// replaceOutdated remembers what was read of a past that is not the one that
// known is of, and says whether that is news.
func (s *inventories) replaceOutdated(name string, e, known stored, life int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName[name].ResourceVersion == known.ResourceVersion {
		s.byName[name] = e
	}
	return s.life == life
}

// remove deletes the inventory of a withdrawn application.
func (s *inventories) remove(ctx context.Context, inv Inventory) error {
	name := inventoryName(inv.Application)
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &inv.ResourceVersion}}
	err := s.client.ConfigMaps(systemNamespace).Delete(ctx, name, options)
	switch {
	case err == nil, apierrors.IsNotFound(err):
		s.drop(name)
		return nil
	case apierrors.IsConflict(err):
		if err := s.refresh(ctx, inv.Application); err != nil {
			return err
		}
		return fmt.Errorf("delete the inventory of %s: %w", inv.Application, errInventoryChanged)
	}
	return fmt.Errorf("delete the inventory of %s: %w", inv.Application, err)
}

// keep remembers what was read or written, unless something newer is known.
func (s *inventories) keep(name string, e stored) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.byName[name]; ok && !s.back && was.UID == e.UID && rewind.Older(e.ResourceVersion, was.ResourceVersion) {
		return
	}
	s.byName[name] = e
	s.high = rewind.Later(s.high, e.ResourceVersion)
}

// has says that a ConfigMap is known as it is: of what is written here the watch
// tells as well.
func (s *inventories) has(c *corev1.ConfigMap) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	known := s.byName[c.Name]
	return !s.back && known.UID == string(c.UID) && known.ResourceVersion == c.ResourceVersion
}

// forget drops an inventory that was deleted, unless it was made anew since.
func (s *inventories) forget(name, uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName[name].UID == uid {
		delete(s.byName, name)
	}
}

// replace takes a whole list, and keeps what was written since. Found says that
// the list can't follow what was known: then it alone counts, as does the first
// one after that was found elsewhere, of which back tells.
func (s *inventories) replace(list map[string]stored, resourceVersion string) (back, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	back = s.back
	for name, e := range list {
		was := s.byName[name]
		found = found || !back && rewind.Outdated(e.UID, e.ResourceVersion, was.UID, was.ResourceVersion, resourceVersion)
	}
	before := s.byName
	s.byName = maps.Clone(list)
	if s.back = false; back || found {
		s.high = resourceVersion
		return back, found
	}
	s.high = rewind.Later(s.high, resourceVersion)
	for name, was := range before {
		if rewind.Older(resourceVersion, was.ResourceVersion) {
			s.byName[name] = was // written after the list
		}
	}
	return back, found
}

// rewindAll has the inventories listed anew, and forgets what was known when they
// are.
func (s *inventories) rewindAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rewind()
}

func (s *inventories) drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byName, name)
}

func encodeInventory(inv Inventory) (*corev1.ConfigMap, error) {
	entries, err := encodeEntries(inv.Entries)
	if err != nil {
		return nil, err
	}
	size, err := packedSize(inv.Entries, len(entries))
	if err != nil {
		return nil, err
	}
	if size > maxInventory-8<<10 {
		return nil, &trouble{Reason: events.ReasonNotPermitted, Message: fmt.Sprintf(
			"%d objects are more than one inventory holds: split the application", len(inv.Entries))}
	}
	fence, err := json.Marshal(inv.Fence)
	if err != nil {
		return nil, fmt.Errorf("encode fence: %w", err)
	}
	policy, err := json.Marshal(inv.Kept)
	if err != nil {
		return nil, fmt.Errorf("encode policy: %w", err)
	}
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: inventoryName(inv.Application), Namespace: systemNamespace,
			Labels: map[string]string{labelInventory: "v1"}, ResourceVersion: inv.ResourceVersion, UID: types.UID(inv.UID),
		},
		Data:       map[string]string{keyApplication: inv.Application, keyFence: string(fence), keyPolicy: string(policy)},
		BinaryData: map[string][]byte{keyEntries: entries},
	}, nil
}

func decodeInventory(c *corev1.ConfigMap) stored {
	e := stored{Inventory: Inventory{ResourceVersion: c.ResourceVersion, UID: string(c.UID)}}
	e.Application = c.Data[keyApplication]
	if e.Application == "" || inventoryName(e.Application) != c.Name {
		e.broken = fmt.Errorf("inventory %s names the application %q", c.Name, e.Application)
		return e
	}
	if e.broken = json.Unmarshal([]byte(c.Data[keyFence]), &e.Fence); e.broken != nil {
		return e
	}
	if e.broken = json.Unmarshal([]byte(c.Data[keyPolicy]), &e.Kept); e.broken != nil {
		return e
	}
	e.Entries, e.broken = decodeEntries(c.BinaryData[keyEntries])
	return e
}

// createNamespace creates a namespace; one that exists is fine.
func createNamespace(ctx context.Context, client corev1client.NamespacesGetter, name string) error {
	body := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := client.Namespaces().Create(ctx, body, metav1.CreateOptions{FieldManager: manifest.FieldManager})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
