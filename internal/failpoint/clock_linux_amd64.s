// SPDX-License-Identifier: Apache-2.0

//go:build failpoints

#include "textflag.h"
#include "go_asm.h"

// wrongClock stands in for the kernel's clock_gettime and is called as that is:
// the clock's number in DI, where the time goes in SI, the stack aligned before
// the call. It asks the kernel's own, and puts the wall clock (number 0) off:
// by off, and by what it has gone wrong since from, in 1024ths of the time.
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
	MOVQ	·wrong(SB), CX // once: whoever sets it sets another
	TESTQ	CX, CX
	JZ	done
	MOVQ	0(SI), R8 // seconds
	IMULQ	$1000000000, R8
	ADDQ	8(SI), R8 // nanoseconds
	MOVQ	R8, R9
	SUBQ	wrongness_from(CX), R9
	IMULQ	wrongness_drift(CX), R9
	SARQ	$10, R9
	ADDQ	wrongness_off(CX), R9
	ADDQ	R9, R8
	MOVQ	R8, AX
	CQO
	MOVQ	$1000000000, R10
	IDIVQ	R10
	MOVQ	AX, 0(SI)
	MOVQ	DX, 8(SI)
	XORL	AX, AX
done:
	RET

// func wrongClockAddress() uintptr
TEXT ·wrongClockAddress(SB), NOSPLIT, $0-8
	LEAQ	·wrongClock(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
