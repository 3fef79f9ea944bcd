// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// Stamped is a declared body with what the applier adds to it.
func Stamped(body map[string]any, application, digest string) map[string]any {
	u := &unstructured.Unstructured{Object: body}
	u = u.DeepCopy()
	labels, annotations := u.GetLabels(), u.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	labels[manifest.LabelApplication], annotations[manifest.AnnotationObject] = application, digest
	u.SetLabels(labels)
	u.SetAnnotations(annotations)
	return u.Object
}
