// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/provision"
)

// checkBus looks at the bus itself, its log and its clock.
func (x *examination) checkBus(ctx context.Context) []finding {
	server, err := x.conn.Server(ctx)
	if err != nil {
		return failed("bus", x.bus.URL, err, "look at the server's log: JetStream may be off, or its store gone; then 'plumbline nats provision'")
	}
	log, err := x.conn.Log(ctx)
	if err != nil {
		return failed("bus", x.bus.URL, err, "look at the server's log, and run 'plumbline nats provision'")
	}
	found := []finding{{
		Check: "bus", Subject: x.bus.URL, Verdict: verdictOK,
		Message: fmt.Sprintf("nats-server %s answers %s; epoch %s, %d events so far", server.Version, x.bus.User, or(log.Epoch, "none"), log.Last),
	}}
	if log.Epoch == "" {
		found[0].Verdict, found[0].Remedy = verdictFail, "run 'plumbline nats provision': without an epoch nothing is applied"
	}
	return append(found, skew("the bus", server.Time, server.Asked, 0))
}

const (
	skewWarn = 2 * time.Second // times in events are then misleading
	skewFail = 5 * time.Minute // certificates and tokens are then refused
)

// skew compares a clock with the local one; whole says how coarse it is.
func skew(whose string, is, asked time.Time, whole time.Duration) finding {
	f := finding{Check: "clock", Subject: whose, Verdict: verdictOK, Message: "agrees with this machine"}
	if is.IsZero() {
		f.Verdict, f.Message = verdictSkip, "doesn't tell the time"
		return f
	}
	off := is.Add(whole / 2).Sub(asked)
	ahead := "ahead of"
	if off < 0 {
		off, ahead = -off, "behind"
	}
	if off <= skewWarn+whole {
		return f
	}
	f.Verdict, f.Message = verdictWarn, fmt.Sprintf("is %s %s this machine", off.Round(100*time.Millisecond), ahead)
	if off > skewFail {
		f.Verdict = verdictFail
	}
	f.Remedy = "set the clocks by NTP, on both machines"
	return f
}

// checkProvisioning compares streams and consumers with the files, and looks
// who works on what.
func (x *examination) checkProvisioning(ctx context.Context) []finding {
	creds, err := x.keyOf(provision.User)
	if err != nil {
		return []finding{{Check: "provisioning", Verdict: verdictSkip, Message: "the provisioner's key is not at hand", Remedy: "give its folder with --keys"}}
	}
	clusters, err := x.clusterNames(ctx)
	if err != nil {
		return failed("provisioning", "", err, "")
	}
	first, err := provision.Inspect(ctx, x.bus.URL, creds, clusters, x.log)
	if errors.Is(err, bus.ErrRefused) || ctx.Err() != nil && err != nil {
		return failed("provisioning", "", err, "give the folder of the server's own keys with --keys")
	}
	if err != nil {
		return failed("provisioning", "", err, "look at the server's log")
	}
	// A pull ends and the next begins: nobody works where none is seen twice.
	second := first
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
		if again, err := provision.Inspect(ctx, x.bus.URL, creds, clusters, x.log); err == nil {
			second = again
		}
	}
	found := []finding{provisioned(second)}
	for i, c := range second.Consumers {
		if !c.Missing {
			found = append(found, working(first.Consumers[i], c))
		}
	}
	return found
}

func provisioned(s provision.State) finding {
	var missing, differing []string
	var size uint64
	for _, stream := range s.Streams {
		size += stream.State.Bytes
		missing, differing = note(missing, differing, "stream "+stream.Name, stream.Missing, stream.Differs)
	}
	for _, c := range s.Consumers {
		missing, differing = note(missing, differing, "consumer "+c.Name, c.Missing, c.Differs)
	}
	f := finding{Check: "provisioning", Verdict: verdictOK, Message: fmt.Sprintf("%s and %s are as deploy/nats has them; %s stored", count(len(s.Streams), "stream"), count(len(s.Consumers), "consumer"), bytesText(size))}
	if len(missing) == 0 && len(differing) == 0 {
		return f
	}
	f.Verdict = verdictFail
	f.Message = strings.Join(slices.Concat(suffixed(missing, "is missing"), suffixed(differing, "is not as deploy/nats has it")), "; ")
	f.Remedy = "run 'plumbline nats provision' with the provisioner's key: it changes nothing else"
	return f
}

func note(missing, differing []string, name string, isMissing, differs bool) ([]string, []string) {
	switch {
	case isMissing:
		missing = append(missing, name)
	case differs:
		differing = append(differing, name)
	}
	return missing, differing
}

func suffixed(names []string, text string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n + " " + text
	}
	return out
}

// optional is the consumer of a service that need not run.
const optional = "notifier"

// working says whether somebody works on what a consumer gets.
func working(first, second provision.Consumer) finding {
	f := finding{Check: "consumer", Subject: second.Name, Verdict: verdictOK}
	idle := first.Waiting == 0 && second.Waiting == 0 && second.AckFloor == first.AckFloor
	waits := int(min(second.Pending, 1<<30)) //nolint:gosec // bounded
	switch {
	case idle && second.Unanswered == 0 && second.Name == optional:
		f.Verdict, f.Message = verdictSkip, "no notifier runs: nobody is told of anything"
	case idle && second.Unanswered == 0:
		f.Verdict, f.Message = verdictFail, fmt.Sprintf("nobody works on it, and %s there", isAre(waits, "event waits", "events wait"))
		f.Remedy = "start the service " + strings.TrimSuffix(second.Name, "-local") + ", and look at its log and /readyz"
	case second.Redelivered > 0:
		f.Verdict, f.Message = verdictWarn, fmt.Sprintf("%s again and again, %s", isAre(second.Redelivered, "input is tried", "inputs are tried"), isAre(waits, "event waits", "events wait"))
		f.Remedy = "look at the service's log and at 'plumbline events --type message.rejected': an input fails, or what it depends on is out"
	default:
		f.Message = fmt.Sprintf("at work; %s, %d in work", isAre(waits, "event waits", "events wait"), second.Unanswered)
	}
	return f
}

func isAre(n int, one, many string) string {
	switch n {
	case 0:
		return "no " + one
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// keyOf is the file with a user's seed.
func (x *examination) keyOf(user string) (string, error) {
	if x.keys == "" {
		return "", os.ErrNotExist
	}
	file := filepath.Join(x.keys, user+".nk")
	_, err := os.Stat(file)
	return file, err
}

// checkKeys tries every key that is at hand.
func (x *examination) checkKeys(ctx context.Context) []finding {
	if x.keys == "" {
		return []finding{{Check: "key", Verdict: verdictSkip, Message: "the services' keys are not at hand", Remedy: "give their folder with --keys"}}
	}
	clusters, err := x.clusterNames(ctx)
	if err != nil {
		return failed("key", "", err, "")
	}
	users, err := natsconfig.Users(clusters)
	if err != nil {
		return failed("key", "", err, "")
	}
	var found []finding
	good := 0
	for _, u := range users {
		f := x.checkKey(ctx, u.Name, users)
		if f.Verdict == verdictOK {
			good++
			continue
		}
		found = append(found, f)
	}
	if good > 0 {
		found = append([]finding{{Check: "key", Verdict: verdictOK, Message: fmt.Sprintf("%s taken; they may ask what they must, and no more", isAre(good, "key is", "keys are"))}}, found...)
	}
	return found
}

func (x *examination) checkKey(ctx context.Context, user string, users []natsconfig.User) finding {
	f := finding{Check: "key", Subject: user, Verdict: verdictOK}
	file, err := x.keyOf(user)
	if err != nil {
		f.Verdict, f.Message = verdictSkip, "its key is not in "+x.keys
		return f
	}
	deviations, err := bus.Rights(ctx, bus.Config{URL: x.bus.URL, Creds: file, User: user}, users, x.log)
	switch {
	case errors.Is(err, bus.ErrRefused):
		f.Verdict, f.Message, f.Remedy = verdictFail, "the bus refuses "+file, "have the server's users.conf written anew with the public half of this key ('plumbline nats serve' does), or put its own key there"
	case err != nil:
		f.Verdict, f.Message, f.Remedy = verdictFail, err.Error(), "let only the service read the file, one line that begins with SU"
	case len(deviations) > 0:
		f.Verdict, f.Message = verdictFail, deviation(deviations)
		f.Remedy = "write the server's users.conf anew from deploy/nats ('plumbline nats serve' does) and reload it"
	default:
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
			f.Verdict, f.Message, f.Remedy = verdictWarn, fmt.Sprintf("others may read %s (%v)", file, info.Mode().Perm()), "chmod 600 "+file
		}
	}
	return f
}

func deviation(all []bus.Deviation) string {
	d := all[0]
	verb := "publish to"
	if d.Subscribe {
		verb = "subscribe to"
	}
	text := fmt.Sprintf("may not %s %s, and must", verb, d.Subject)
	if d.Allowed {
		text = fmt.Sprintf("may %s %s, and must not", verb, d.Subject)
	}
	if len(all) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(all)-1)
	}
	return text
}

func bytesText(n uint64) string {
	const kib = 1024
	switch {
	case n < kib*kib:
		return fmt.Sprintf("%d KiB", (n+kib-1)/kib)
	case n < kib*kib*kib:
		return fmt.Sprintf("%.1f MiB", float64(n)/(kib*kib))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(kib*kib*kib))
}
