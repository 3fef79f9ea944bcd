// SPDX-License-Identifier: Apache-2.0

// Command probe comes by one point as often as it is told.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/plumbline-dev/plumbline/internal/failpoint"
)

func main() {
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
