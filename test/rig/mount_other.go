// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rig

import "errors"

func mountMemory(string, int64) error { return errors.ErrUnsupported }

func unmount(string) error { return errors.ErrUnsupported }
