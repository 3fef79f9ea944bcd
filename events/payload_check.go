// SPDX-License-Identifier: Apache-2.0

package events

import "fmt"

// agreeing is a payload that repeats a part of its event's address.
type agreeing interface{ agrees(a Address) error }

func (d *Declaration) agrees(a Address) error {
	if d.Application != a.Application || d.Cluster != a.Cluster {
		return fmt.Errorf("it declares application %s on cluster %s", quote(d.Application), quote(d.Cluster))
	}
	return nil
}

func (p *CommitObserved) agrees(a Address) error { return p.Declaration.agrees(a) }
func (p *Manifests) agrees(a Address) error      { return p.Declaration.agrees(a) }
func (p *RenderFailed) agrees(a Address) error   { return p.Declaration.agrees(a) }

func (d *Divergence) agrees(a Address) error {
	if d.Key != a.Key {
		return fmt.Errorf("it is of divergence %s", quote(d.Key))
	}
	return nil
}

// bounded is a payload with lists that go into a blob past [MaxInline].
type bounded interface{ bounds() error }

func atMost(n int, what string) error {
	if n > MaxInline {
		return fmt.Errorf("%d %s, and at most %d go inline", n, what, MaxInline)
	}
	return nil
}

func (p *Manifests) bounds() error            { return atMost(len(p.Objects.Items), "objects") }
func (p *FleetObserved) bounds() error        { return atMost(len(p.Rejections), "rejections") }
func (p *ConvergenceApplied) bounds() error   { return atMost(len(p.Objects.Items), "objects") }
func (p *ConvergenceHeld) bounds() error      { return atMost(len(p.Objects.Items), "objects") }
func (p *ApplicationWithdrawn) bounds() error { return atMost(len(p.Objects.Items), "objects") }
func (p *ConvergenceFailed) bounds() error    { return atMost(len(p.Failures), "failures") }
func (p *ConvergenceDegraded) bounds() error  { return atMost(len(p.Failures), "failures") }
func (d *Divergence) bounds() error           { return atMost(len(d.Fields), "fields") }
