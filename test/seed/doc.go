// SPDX-License-Identifier: Apache-2.0

// Package seed gives the fuzz targets what they begin with: the files of the
// corpus of bad inputs (test/badinput/corpus), by section.
//
// It decides nothing of what an input must come to: that is the targets' and
// test/badinput's own.
package seed
