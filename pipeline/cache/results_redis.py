"""Results in Redis, shared by the ingress replicas of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pipeline.errors import MissingExtra, StageFailed

_NAME = "{cosyvoice-serve}:results"  # the braces keep all keys in one slot of a cluster
_TIMEOUT_S = 1.0

# KEYS: data of this key, use counts, sizes, total, clock. ARGV: key, data, limit, prefix.
_PUT = """
local old = tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or '0')
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[5]), ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], #ARGV[2])
local total = redis.call('INCRBY', KEYS[4], #ARGV[2] - old)
while total > tonumber(ARGV[3]) do
  local oldest = redis.call('ZPOPMIN', KEYS[2])
  if #oldest == 0 then break end
  redis.call('DEL', ARGV[4] .. oldest[1])
  total = redis.call('DECRBY', KEYS[4], tonumber(redis.call('HGET', KEYS[3], oldest[1]) or '0'))
  redis.call('HDEL', KEYS[3], oldest[1])
end
"""
_GET = """
local data = redis.call('GET', KEYS[1])
if data then redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), ARGV[1]) end
return data
"""

T = TypeVar("T")


class RedisResults:
    """Connects on first use; `url` as redis-py takes it. Each call is one script, so that counts stay true."""

    def __init__(self, url: str, max_bytes: int) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise MissingExtra("results in Redis need an extra: pip install 'cosyvoice-serve[redis]'.") from None
        self._max_bytes = max_bytes
        self._client: Any = redis.Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, retry=Retry(NoBackoff(), 1)
        )
        self._error = redis.RedisError
        self._get_script = self._client.register_script(_GET)
        self._put_script = self._client.register_script(_PUT)

    def get(self, key: str) -> bytes | None:
        keys = [f"{_NAME}:data:{key}", f"{_NAME}:used", f"{_NAME}:clock"]
        data: bytes | None = self._call(lambda: self._get_script(keys, [key]))
        return data

    def put(self, key: str, data: bytes) -> None:
        prefix = f"{_NAME}:data:"
        keys = [prefix + key, *(f"{_NAME}:{part}" for part in ("used", "sizes", "total", "clock"))]
        self._call(lambda: self._put_script(keys, [key, data, self._max_bytes, prefix]))

    def _call(self, command: Callable[[], T]) -> T:
        try:
            return command()
        except self._error as error:
            raise StageFailed(f"the result cache in Redis cannot be used ({error}).") from None
