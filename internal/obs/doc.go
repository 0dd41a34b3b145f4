// Package obs is how the agent is seen from outside: logs, metrics, health, profiles.
package obs
