// Package mem is the honest fake: a whole store in memory.
package mem
