"""The only places that write hosts and agents: `operate` for people, `prepare` for waves, `observe` and `revive` for
`runhost`; `tidy` removes what they leave behind."""
