from apps.gateway.consumer import AgentDoor

# By path: ASGI applications that take websockets. A new version of the wire format gets a path of its own.
SOCKETS = {"/ws/v1/agents/": AgentDoor()}
