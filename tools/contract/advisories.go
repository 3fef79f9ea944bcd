// SPDX-License-Identifier: Apache-2.0

package contract

// advisory is one class of the advisories that were published for GitOps
// controllers, and for what they are built of, since 2018.
type advisory struct {
	class string // C1
	what  string
	ids   string // some that are of it: CVE, where nothing else is said
	stand string // how Plumbline stands to it
	// tests are regression tests whose names don't begin with
	// TestAdvisory<class>, as package and name: those that do are found.
	tests []string
	// none says why no test can be of it; empty: there has to be one.
	none string
}

// advisories are all classes, in order. The ids are those of the Go
// vulnerability database and of the projects' own advisories.
var advisories = []advisory{
	{
		class: "C1", what: "path traversal and symbolic links while rendering",
		ids:   "Argo CD 2022-24348, 2022-24730, 2022-24731, 2022-24904, 2022-31036, 2023-40026; Flux 2022-24877, 2026-47680; Helm 2024-25620, 2026-35206",
		stand: "a render child has no files: it asks its parent for paths of one Git tree, which follows links itself and has no parent directory",
	},
	{
		class: "C2", what: "a hostile repository writes outside of its work tree",
		ids:   "go-git 2023-49569, 2026-45571, 2026-71556, 2026-71557; go-billy 2026-44740, 2026-44973; git 2024-32021",
		stand: "there is no work tree: a mirror holds packs, and refs named by the ids of commits; what a server names its refs never reaches the disk",
	},
	{
		class: "C3", what: "arguments or commands injected by a URL, a ref or a path",
		ids:   "go-git 2025-21613, 2026-45570; go-getter 2024-3817, 2024-6257; git 2020-5260; Flux 2021-41254",
		stand: "four transports by name, no shell on this side, one quoted word on the other; file:// runs `git upload-pack` and only where the fleet itself is a directory; whatever a host's name resolves to, no link-local address and none where a cloud serves credentials is dialled",
	},
	{
		class: "C4", what: "a malicious Git server exhausts its client",
		ids:   "go-git 2023-49568, 2025-21614, 2026-33762, 2026-34165, GHSA-w5pp-99ch-qj29, 2026-25934",
		stand: "listing, pack, object, growth by deltas and time are bounded before go-git sees the bytes; checksum and every id are computed",
	},
	{
		class: "C5", what: "credentials follow a redirect to another host",
		ids:   "go-git 2026-41506; Helm 2021-32690; oras 2026-48978, 2026-50151; CloudEvents SDK 2024-28110",
		stand: "a redirect to another origin is refused; only http may become https, on the same host; the API server's leads nowhere else",
	},
	{
		class: "C6", what: "a render that exhausts the renderer: large, nested, compressed",
		ids:   "Argo CD 2022-31016, 2023-40584, 2024-29893; Flux 2022-24878, 2022-39272; Helm 2022-23524 to 23526, 2025-32386, 2025-32387, 2025-55198, 2025-55199; Kubernetes 2019-11253; yaml 2022-28948, 2022-3064",
		stand: "nodes, depth, expansion, documents, bytes, time and memory are bounded; a child process dies of what is left, and is replaced. No archives are unpacked",
	},
	{
		class: "C7", what: "expressions that users supply",
		ids:   "Argo CD 2024-32476",
		stand: "there are none: an ignore rule is a JSON pointer, compared as text",
	},
	{
		class: "C8", what: "webhooks that anybody may send",
		ids:   "Argo CD 2024-40634, 2025-59531, 2025-59537, 2025-59538; Flux 2026-40109; slack-go GO-2026-5410",
		stand: "1 MiB, an HMAC over the raw body, which is never parsed; an empty secret signs nothing; what a webhook can cause is one look every 100 ms",
	},
	{
		class: "C9", what: "secrets in errors, differences, logs and spans",
		ids:   "Argo CD 2025-23216, 2026-42880, 2026-45737, 2023-40029, 2025-55190, 2023-25163, GHSA-6w87-g839-9wv7; Flux 2024-31216; client-go 2019-11250, 2020-8565; OpenTelemetry 2026-45679",
		stand: "values of Secrets are sealed before they leave the renderer and compared by keyed hashes; what the API server, kustomize, a YAML parser or a Git server says is repeated without what it quotes",
		tests: []string{"test/privileges.TestNoSecretLeaves", "services/auditor.TestSecretValuesAreComparedAndNeverTold", "internal/seal.TestFaultySecretsNameTheFieldOnly", "internal/manifest.TestUnknownWordsOfTheParserAreNotRepeated"},
	},
	{
		class: "C10", what: "templates that reach out: environment, network, cluster",
		ids:   "Helm 2023-25165; argo-cd issue 3640",
		stand: "no Helm, no plugins, no functions; a child has no environment, no files, no cluster, and no network where the kernel allows",
	},
	{
		class: "C11", what: "one tenant acts as another, or gets more rights",
		ids:   "Flux 2021-41254, 2022-24817; Argo CD 2022-24768, 2022-1025, 2023-22736, 2023-23947, 2024-31990; flux-operator 2026-23990",
		stand: "an object of another application is refused before any write, one out of reach too, and the cluster refuses it by the applier's own rights",
		tests: []string{"test/deploy.TestPrivileges", "services/applier.TestRefusesWhatMustNotBeWritten", "services/applier.TestClusterWideByTheShippedRightsIsNoAdministrator", "test/deploy.TestNamespacedGrantsNothingElsewhere"},
	},
	{
		class: "C12", what: "an open internal bus or cache",
		ids:   "Argo CD 2024-31989; NATS 2022-24450, 2023-47090, 2025-30215, 2026-33222, 2026-33223, 2026-33246 to 33249",
		stand: "one user per service with its own key and its own subjects; every line of the rights is tried, allowed and denied; nobody connects without a key",
		tests: []string{"deploy/nats.TestEveryUserOnEverySubject", "deploy/nats.TestAnAccountImportsNoMoreThanItsUserMay", "deploy/nats.TestNobodyConnectsWithoutAKey", "deploy/nats.TestAnswersGoNoFurtherThanTheirUserMay"},
	},
	{
		class: "C13", what: "a bus that crashes before anybody has logged in",
		ids:   "NATS 2026-27571, 2026-27889, 2026-33218, 2026-33219, 2026-29785",
		stand: "websocket, MQTT, leaf nodes, gateways and monitoring are off",
	},
	{
		class: "C14", what: "trust in JWT and OIDC",
		ids:  "Argo CD 2022-29165, 2023-22482, 2022-31105",
		none: "Plumbline has no API server, and takes no token of a person",
	},
	{
		class: "C15", what: "a data race ends the process",
		ids:   "Argo CD 2025-55191",
		stand: "`make test` runs every test with the race detector; credentials and secrets are files, read anew for each use",
		tests: []string{"internal/bus.TestKeyIsReadAgain", "services/notifier.TestRefusedToken"},
	},
	{
		class: "C16", what: "a signature that says yes to other bytes, or fails open",
		ids:   "go-git 2026-45022; gitsign 2026-44309, 2026-44310; cosign 2022-35929, 2026-22703; Helm 2026-35205",
		stand: "signatures are recorded and not verified: a commit is `unsigned` or `unverified`, never verified; one that can't be read is rejected",
	},
	{
		class: "C17", what: "a program that is run by a plugin's name or from PATH",
		ids:   "age 2024-56327; Helm 2025-53547; OpenTelemetry 2026-24051; Flux 2022-24817",
		stand: "kubeconfigs with exec or auth-provider are refused, plugins of age and kustomize are none, the image has no shell",
	},
	{
		class: "C18", what: "one poisonous object crashes its controller for ever",
		ids:   "Argo Workflows 2026-40886",
		stand: "an input whose handler fails or panics three times, or that ends its process three times with nothing else in hand, is quarantined, in an event; the others go on, and a newer revision lifts it; a render child that crashes is tried once more and takes no service along",
		tests: []string{
			"internal/bus.TestDeathsBeforeQuarantine", "internal/bus.TestPoisonIsQuarantinedAndLifted",
			"services/renderer.TestAChildThatIsAlwaysKilledIsAnError", "services/renderer.TestAKilledChildIsReplaced",
		},
	},
}
