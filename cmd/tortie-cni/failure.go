package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The error codes of the CNI specification that the plugin itself gives.
const (
	codeVersion     = 1
	codeEnvironment = 4
	codeIO          = 5
	codeDecoding    = 6
	codeConfig      = 7
	codeNetns       = 8
	codeTryAgain    = 11
	codeUnavailable = 50
	codeInternal    = 999
)

// failure is an error as the CNI specification has it on stdout.
type failure struct {
	Version string `json:"cniVersion,omitempty"` // that of the configuration
	Code    uint   `json:"code"`
	Msg     string `json:"msg"`
	Details string `json:"details,omitempty"`
}

func fail(code uint, msg, details string) *failure {
	return &failure{Code: code, Msg: msg, Details: details}
}

func (f *failure) Error() string {
	if f.Details == "" {
		return f.Msg
	}
	return f.Msg + "; " + f.Details
}

func (f *failure) print(w io.Writer) error {
	raw, err := json.MarshalIndent(f, "", "    ")
	if err != nil {
		return fmt.Errorf("encode error: %w", err)
	}
	_, err = w.Write(append(raw, '\n'))
	return err
}

// coded gives an error without a CNI code this one.
func coded(err error, code uint) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return fail(code, err.Error(), "")
}
