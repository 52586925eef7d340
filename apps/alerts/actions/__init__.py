"""The only places that write alerts: `watch` for the evaluation, `operate` for people, `rules` and
`destinations` for what people set up, `deliver` for what is told to the world outside; `tidy` removes what is old."""
