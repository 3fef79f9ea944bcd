// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// clock tells the time that ages are counted to. Tests of what commands print
// set it.
var clock = time.Now
