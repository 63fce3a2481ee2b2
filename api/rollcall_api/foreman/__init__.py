"""The dialect of Foreman Remote Execution: requests parsed, answers rendered, errors shaped, and nothing else.

The routes are in `*_routes`, and `routes` has all of them; what they share is in `routing`, the wire's quirks in
`requests`, what a create asks for in `creation`, JSON in `render`, error bodies in `errors`, the search language in
`search`. Everything that a job *is* lives outside this package.
"""
