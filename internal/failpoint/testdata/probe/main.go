// SPDX-License-Identifier: Apache-2.0

// Command probe comes by one point as often as it is told, reads a content, or
// tells the time whenever it is asked.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/plumbline-dev/plumbline/internal/failpoint"
)

func main() {
	switch os.Args[1] {
	case "read":
		failpoint.Read(failpoint.RendererChildReads, []byte(os.Args[2]))
		return
	case "clock":
		tell()
		return
	}
	times, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	for i := range times {
		began := time.Now()
		err := failpoint.Hit(failpoint.ApplierAfterObject)
		fmt.Println(i+1, err, time.Since(began) >= 20*time.Millisecond)
	}
}

// tell prints, for each line that comes, the wall clock and how long this
// process runs, in nanoseconds.
func tell() {
	began := time.Now()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(time.Now().UnixNano(), time.Since(began).Nanoseconds())
	}
}
