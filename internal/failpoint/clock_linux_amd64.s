// SPDX-License-Identifier: Apache-2.0

//go:build failpoints

#include "textflag.h"

// wrongClock stands in for the kernel's clock_gettime and is called as that is:
// the clock's number in DI, where the time goes in SI, the stack aligned before
// the call. It asks the kernel's own, and puts the wall clock (number 0) off.
TEXT ·wrongClock(SB), NOSPLIT|NOFRAME, $0
	PUSHQ	DI
	PUSHQ	SI
	SUBQ	$8, SP
	MOVQ	·rightClock(SB), AX
	CALL	AX
	ADDQ	$8, SP
	POPQ	SI
	POPQ	DI
	TESTL	DI, DI
	JNZ	done
	MOVQ	·clockOff(SB), CX
	ADDQ	CX, 0(SI)
done:
	RET

// func wrongClockAddress() uintptr
TEXT ·wrongClockAddress(SB), NOSPLIT, $0-8
	LEAQ	·wrongClock(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
