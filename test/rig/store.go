// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Store is the directory of the JetStream store.
func (r *Rig) Store() string { return filepath.Join(r.data(), "nats", "jetstream") }

// StopNATS ends the NATS process in order.
func (r *Rig) StopNATS() error { return r.processes["nats"].Stop() }

// LoseStore takes away everything that the bus has stored, whether its server
// runs or not.
func (r *Rig) LoseStore() error {
	if r.disk == nil {
		if err := removeAll(r.Store()); err != nil {
			return fmt.Errorf("rig: lose the store: %w", err)
		}
		return nil
	}
	entries, err := os.ReadDir(r.Store()) // a mount stays
	if err != nil {
		return fmt.Errorf("rig: lose the store: %w", err)
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, removeAll(filepath.Join(r.Store(), e.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("rig: lose the store: %w", err)
	}
	return nil
}

// ForgetDeliveries takes away what the bus knows of what it has delivered, and
// leaves what it has stored. Its server must have been stopped; the next one is
// provisioned with consumers that begin anew.
func (r *Rig) ForgetDeliveries() error {
	if r.processes["nats"].Running() {
		return errors.New("rig: forget deliveries: the server runs")
	}
	folders, err := filepath.Glob(filepath.Join(r.Store(), "PLUMBLINE", "streams", log, "obs"))
	if err == nil && len(folders) != 1 {
		err = fmt.Errorf("%d folders of consumers in %s", len(folders), r.Store())
	}
	if err == nil {
		err = removeAll(folders[0])
	}
	if err != nil {
		return fmt.Errorf("rig: forget deliveries: %w", err)
	}
	return nil
}

// removeAll removes a folder that a running server writes into: what it has
// written into one that was just emptied is removed again. What is gone it
// doesn't make again.
func removeAll(folder string) error {
	for {
		err := os.RemoveAll(folder)
		if !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
}

// SaveStore copies the store into a folder that doesn't exist yet. The server
// must have been stopped: what is copied from underneath it is no backup.
func (r *Rig) SaveStore(folder string) error {
	if r.processes["nats"].Running() {
		return errors.New("rig: save the store: its server runs")
	}
	if err := os.CopyFS(folder, os.DirFS(r.Store())); err != nil {
		return fmt.Errorf("rig: save the store: %w", err)
	}
	return nil
}

// RestoreStore puts back what SaveStore copied, in the place of what is there.
// The server must have been stopped.
func (r *Rig) RestoreStore(folder string) error {
	if r.processes["nats"].Running() {
		return errors.New("rig: restore the store: its server runs")
	}
	if err := r.LoseStore(); err != nil {
		return err
	}
	if err := os.CopyFS(r.Store(), os.DirFS(folder)); err != nil {
		return fmt.Errorf("rig: restore the store: %w", err)
	}
	return nil
}

// disk is a file system of a fixed size in memory, for the store alone.
type disk struct{ path string }

// mountStore gives the store a disk of its own, where [Options.StoreSize] says
// so.
func (r *Rig) mountStore() error {
	if r.options.StoreSize == 0 {
		return nil
	}
	if err := os.MkdirAll(r.Store(), 0o700); err != nil {
		return fmt.Errorf("rig: a disk for the store: %w", err)
	}
	if err := mountMemory(r.Store(), r.options.StoreSize); err != nil {
		return fmt.Errorf("rig: a disk for the store, which takes the right to mount (root, or CAP_SYS_ADMIN): %w", err)
	}
	r.disk = &disk{r.Store()}
	return nil
}

func (r *Rig) unmountStore() error {
	if r.disk == nil {
		return nil
	}
	if err := unmount(r.disk.path); err != nil {
		return fmt.Errorf("rig: unmount %s: %w", r.disk.path, err)
	}
	r.disk = nil
	return nil
}

// filler takes the space of a disk that is full.
const filler = "filler"

// FillDisk leaves no space on the store's disk: the next write fails.
func (r *Rig) FillDisk(ctx context.Context) error {
	if r.disk == nil {
		return errors.New("rig: fill the disk: the store has none of its own, see Options.StoreSize")
	}
	f, err := os.OpenFile(filepath.Join(r.disk.path, filler), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("rig: fill the disk: %w", err)
	}
	defer f.Close()
	for piece := make([]byte, 1<<20); ctx.Err() == nil && len(piece) > 0; {
		_, err := f.Write(piece)
		if errors.Is(err, syscall.ENOSPC) {
			piece = piece[:len(piece)/2]
		} else if err != nil {
			return fmt.Errorf("rig: fill the disk: %w", err)
		}
	}
	return ctx.Err()
}

// FreeDisk undoes [Rig.FillDisk].
func (r *Rig) FreeDisk() error {
	if r.disk == nil {
		return nil
	}
	err := os.Remove(filepath.Join(r.disk.path, filler))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rig: free the disk: %w", err)
	}
	return nil
}
