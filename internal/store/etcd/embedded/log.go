package embedded

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// core passes etcd's warnings and errors on to slog.
type core struct {
	log    *slog.Logger
	ending *atomic.Bool // what etcd calls errors while it is being stopped is its way of stopping
	fields []zapcore.Field
}

// usual is what etcd warns of at each orderly start of a server like this one.
var usual = map[string]bool{
	"Running http and grpc server on single port. This is not recommended for production.": true, // no http here
	"simple token is not cryptographically signed":                                         true, // one member only
	"Failed to detect schema version":                                                      true, // a new database
	"failed to update storage version":                                                     true, // tried again each 4 s
}

// Enabled leaves out what etcd tells of itself at Info: pages at each start.
func (c core) Enabled(level zapcore.Level) bool {
	return level >= zapcore.WarnLevel && c.log.Enabled(context.Background(), slogLevel(level))
}

func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{c.log, c.ending, append(append([]zapcore.Field(nil), c.fields...), fields...)}
}

func (c core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	orderly := entry.Level <= zapcore.ErrorLevel && (usual[entry.Message] || c.ending.Load())
	if c.Enabled(entry.Level) && !orderly {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	encoder := zapcore.NewMapObjectEncoder()
	for _, f := range append(append([]zapcore.Field(nil), c.fields...), fields...) {
		f.AddTo(encoder)
	}
	attrs := make([]slog.Attr, 0, len(encoder.Fields))
	for name, value := range encoder.Fields {
		attrs = append(attrs, slog.Any(name, value))
	}
	c.log.LogAttrs(context.Background(), slogLevel(entry.Level), "etcd: "+entry.Message, attrs...)
	return nil
}

func (c core) Sync() error { return nil }

func slogLevel(level zapcore.Level) slog.Level {
	if level >= zapcore.ErrorLevel {
		return slog.LevelError
	}
	return slog.LevelWarn
}
