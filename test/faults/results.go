// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// AppendResult adds a result to a file of results, one JSON object a line. A
// run that is interrupted loses no seed that has ended.
func AppendResult(path string, r Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write a result: %w", err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write a result: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write a result: %w", err)
	}
	return nil
}

// ReadResults reads the results of one commit of Plumbline; those of others
// are not of it. A file that is missing holds none.
func ReadResults(path, commit string) ([]Result, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	defer f.Close()
	var all []Result
	decoder := json.NewDecoder(bufio.NewReader(f))
	for {
		var r Result
		err := decoder.Decode(&r)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read results: %s: %w", path, err)
		}
		if r.Commit == commit {
			all = append(all, r)
		}
	}
}
