"""Where environments come from: an id, a factory or an instance becomes makers, which travel to actors.

`train`, `load` and evaluation ask a source for makers; each maker makes one environment, wherever it is called.
"""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator

from actorrl.training import keywords as of_constructors
from actorrl.training.copies import copy_of
from actorrl.training.filters import wrapped
from actorrl.training.names import did_you_mean, name_of, resolve

Wrapper = Callable[[gymnasium.Env], gymnasium.Env]
CANNOT_SHOW = "this environment cannot be shown on the screen, it needs render_mode='human'"
LIMIT = "max_episode_steps"
UNLIMITED = 1_000  # steps after which evaluation cuts an episode of an environment that has no limit of its own


class NotMade(ValueError):
    """The constructor of an environment failed; the cause is what it raised."""


@dataclass(frozen=True)
class Maker:
    """Makes one environment per call; picklable. `recipe` is a spec, a factory, or an instance to copy."""

    recipe: Any
    wrappers: tuple[Wrapper, ...] = ()
    limit: int | None = None
    """Cut episodes of environments without a limit of their own after so many steps."""
    render: bool | str = False
    """Show it on the screen; or another render_mode."""
    raw: bool = False
    """Give the environment's own rewards, whatever wrappers do to them."""

    def __call__(self) -> gymnasium.Env:
        environment = wrapped(self._made(), self.wrappers, raw=self.raw)
        unlimited = getattr(getattr(environment, "spec", None), "max_episode_steps", None) is None
        if self.limit is not None and unlimited and isinstance(environment, gymnasium.Env):
            environment = gymnasium.wrappers.TimeLimit(environment, self.limit)
        return environment

    def _made(self) -> gymnasium.Env:
        if self.render:
            return self._shown()
        if isinstance(self.recipe, EnvSpec):
            return gymnasium.make(self.recipe, disable_env_checker=True)
        return copy_of(self.recipe) if is_environment(self.recipe) else self.recipe()

    def _shown(self) -> gymnasium.Env:
        """On the screen. ValueError where the environment cannot be told to."""
        mode = "human" if self.render is True else self.render
        if is_environment(self.recipe):
            raise ValueError(f"{CANNOT_SHOW}: an instance without a spec cannot be told to; load(run, env=its class)")
        try:
            if isinstance(self.recipe, EnvSpec):
                return gymnasium.make(self.recipe, disable_env_checker=True, render_mode=mode)
            return self.recipe(render_mode=mode)
        except (TypeError, gymnasium.error.Error) as error:
            raise ValueError(f"{CANNOT_SHOW}: {error}") from error


def is_environment(thing: Any) -> bool:
    """Whether this is an instance with gymnasium's `reset` and `step`."""
    return not isinstance(thing, type) and hasattr(thing, "reset") and hasattr(thing, "step")


class EnvironmentSource:
    """One kind of environment, as often as needed.

    Args:
        env: an id ("CartPole-v1", "module:Id-v0"), "module:Class" of an environment or factory, a mapping with the
            id under "name" and keywords for it, a zero-argument factory, or an instance.
        wrappers: each takes an environment and returns one; the first is the innermost.

    Raises:
        ValueError: for an id nobody registered, or a keyword that its constructor does not take.
        TypeError: for what is none of the above.
    """

    def __init__(self, env: Any, wrappers: Sequence[Wrapper] = ()) -> None:
        self._wrappers = tuple(wrappers)
        for wrap in self._wrappers:
            if not callable(wrap):
                raise TypeError(f"a wrapper is a callable that takes an environment and returns one, found {wrap!r}")
        self.plain: Any = None
        """The environment as a YAML file names it; None where it has no name."""
        self.episode_limit: int | None = None
        """Steps that an episode has at most, known once `spaces` was asked; None where nothing limits it."""
        self._single: gymnasium.Env | None = None
        if isinstance(env, Mapping):
            keywords = dict(env)
            self._recipe, self.plain = self._of_name(str(keywords.pop("name", "")), keywords), dict(env)
            require_parameters(self, {k: [value] for k, value in keywords.items() if k not in (LIMIT, "render_mode")})
        elif isinstance(env, str):
            self._recipe, self.plain = self._of_name(env, {}), env
        elif is_environment(env):
            self._recipe = self._of_instance(env)
        elif callable(env):
            self._recipe, self.plain = env, name_of(env)
        else:
            raise TypeError(f"env must be an id, a factory without arguments or a gymnasium.Env, found {env!r}")

    def _of_name(self, name: str, keywords: dict[str, Any]) -> Any:
        module, colon, attribute = name.partition(":")
        if colon:
            try:
                found = getattr(importlib.import_module(module), attribute, None)
            except ImportError:
                found = resolve(name, "env")  # words the error
            if callable(found):
                return _Called(found, tuple(keywords.items())) if keywords else found
        try:
            spec = gymnasium.registry.get(attribute if colon else name) or gymnasium.spec(name)
        except gymnasium.error.Error as error:
            raise ValueError(f"env {name!r} is not registered with gymnasium: {error}") from error
        # The spec itself travels: an id registered by a script means nothing in another process.
        spec = copy_of(spec)
        if LIMIT in keywords and LIMIT not in (_parameters(spec) or ()):  # `gymnasium.make` takes it, too
            keywords = dict(keywords)
            spec.max_episode_steps = keywords.pop(LIMIT)
        spec.kwargs.update(keywords)
        return spec

    def _of_instance(self, environment: gymnasium.Env) -> Any:
        try:
            spec = getattr(environment, "spec", None)
            if spec is not None:
                gymnasium.make(spec, disable_env_checker=True).close()
                self.plain = _registered_name(spec)
                return spec
        except Exception:  # a wrapper that cannot be made again; the instance may still be copied
            pass
        try:
            copy_of(environment).close()
        except Exception:
            self._single = environment
        return environment

    @property
    def recipe(self) -> Any:
        """What environments are made of: a spec of gymnasium, a factory, or an instance."""
        return self._recipe

    def varied(self, keywords: Mapping[str, Any]) -> EnvironmentSource:
        """The same environment with these keywords of its constructor, in place of what it had.

        Raises:
            TypeError: an instance that has no spec: it is made already.
        """
        if is_environment(self._recipe):
            raise TypeError(
                f"this {self.name} is an instance and cannot be made again with {', '.join(keywords)}: name the "
                f"environment by its id, or give its class or a factory that takes them"
            )
        other = copy.copy(self)
        if isinstance(self._recipe, EnvSpec):
            other._recipe = copy_of(self._recipe)
            other._recipe.kwargs.update(keywords)
        else:
            called = self._recipe if isinstance(self._recipe, _Called) else _Called(self._recipe, ())
            other._recipe = _Called(called.factory, tuple({**dict(called.keywords), **keywords}.items()))
        return other

    @property
    def copies(self) -> bool:
        """Whether more than one environment can be had."""
        return self._single is None

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        if isinstance(self._recipe, EnvSpec):
            return self._recipe.id
        if is_environment(self._recipe):
            return type(getattr(self._recipe, "unwrapped", self._recipe)).__name__
        return getattr(self._recipe, "__name__", type(self._recipe).__name__)

    def maker(
        self, *, limit: int | None = None, render: bool | str = False, raw: bool = False
    ) -> Callable[[], gymnasium.Env]:
        """A callable that makes one environment; the instance itself where that cannot be copied."""
        if self._single is not None:
            return _Given(self._single, self._wrappers, raw)
        return Maker(self._recipe, self._wrappers, limit, render, raw)

    def makers(self, count: int) -> list[Callable[[], gymnasium.Env]]:
        """`count` makers for training. TypeError where an instance cannot be copied and more than one is needed."""
        if self._single is not None and count > 1:
            raise TypeError(
                f"{count} environments are needed, and this {self.name} can be neither made again (it has no spec) "
                f"nor copied (it cannot be pickled): give a factory instead, env=lambda: {self.name}(...)"
            )
        return [self.maker() for _ in range(count)]

    def spaces(self) -> tuple[gymnasium.Space, gymnasium.Space]:
        """(observation space, action space), of an environment that is made and closed again; `NotMade` if it fails."""
        environment = self._made()
        if isinstance(environment, gymnasium.vector.VectorEnv):
            environment.close()
            raise TypeError(
                f"env: {self.name} made a {type(environment).__name__}, several environments that reset themselves; "
                f"expected a single one: the arrangement says how many there are, or n_envs of the agent"
            )
        require_interface(environment)
        spaces = environment.observation_space, environment.action_space
        self.episode_limit = getattr(getattr(environment, "spec", None), "max_episode_steps", None)
        if self._single is None:
            environment.close()
        return spaces

    def _made(self) -> gymnasium.Env:
        try:
            return self.maker()()
        except (ValueError, TypeError):
            raise
        except Exception as error:  # a library that is missing, an assertion, whatever its constructor raises
            said = ": ".join(filter(None, [type(error).__name__, " ".join(str(error).split())]))
            raise NotMade(f"env: {self.name} could not be made: {said}") from error


def require_interface(environment: Any) -> None:
    """Refuse (TypeError) what lacks a part of gymnasium's interface, or has an older one."""
    name = type(getattr(environment, "unwrapped", environment)).__name__
    for part in ("observation_space", "action_space", "reset", "step"):
        if not hasattr(environment, part):
            raise TypeError(
                f"env: expected a gymnasium.Env, which has observation_space, action_space, reset and step; a {name} "
                f"has no {part}"
            )
    try:
        parameters = inspect.signature(environment.reset).parameters.values()
    except (TypeError, ValueError):  # it does not say
        return
    if not any(p.name == "seed" or p.kind is p.VAR_KEYWORD for p in parameters):
        raise TypeError(f"env: {name}.reset is called with a seed by name; expected reset(*, seed=None, options=None)")


def parameters_of(source: EnvironmentSource) -> list[str] | None:
    """The keywords that the environment's constructor takes; None where it takes any, or does not say."""
    return _parameters(source.recipe)


def _parameters(creator: Any) -> list[str] | None:
    found = _signature(creator)
    if found is None or of_constructors.takes_any(found):
        return None
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, one in found.items() if one.kind in by_name and name not in ("self", "render_mode")]


def _signature(creator: Any) -> of_constructors.Parameters | None:
    """The parameters of what makes an environment; none of an instance, None where it does not say."""
    if isinstance(creator, EnvSpec):
        entry = creator.entry_point
        try:
            creator = load_env_creator(entry) if isinstance(entry, str) else entry
        except Exception:  # its module cannot be imported: why is told where one is made
            return None
    creator = getattr(creator, "factory", creator)
    return {} if is_environment(creator) else of_constructors.parameters_of(creator)


def require_parameters(source: EnvironmentSource, values: Mapping[str, Sequence[Any]]) -> None:
    """Refuse (ValueError) keywords that the environment's constructor does not take, with the nearest, and texts where
    it expects true, false or a number.

    Args:
        values: of each keyword all that it is to be.
    """
    taken, signature = parameters_of(source), _signature(source.recipe) or {}
    for key in values:
        if taken is not None and key not in taken:
            near = did_you_mean(key, taken) or "; it takes no parameters"
            raise ValueError(
                f"env.{key}: the constructor of {source.name} takes no {key!r}{near.replace('known are', 'it takes')} "
                f"(what is only an attribute of it, an environment function of yours can take and set)"
            )
        for value in values[key]:
            of_constructors.require_values("env.", {key: value}, signature)


@dataclass(frozen=True)
class _Called:
    """A factory with keywords."""

    factory: Callable[..., gymnasium.Env]
    keywords: tuple[tuple[str, Any], ...]

    def __call__(self, **options: Any) -> gymnasium.Env:
        return self.factory(**dict(self.keywords), **options)

    @property
    def __name__(self) -> str:
        return getattr(self.factory, "__name__", type(self.factory).__name__)


@dataclass(frozen=True)
class _Given:
    """The one instance there is."""

    environment: gymnasium.Env
    wrappers: tuple[Wrapper, ...]
    raw: bool = False

    def __call__(self) -> gymnasium.Env:
        return wrapped(self.environment, self.wrappers, raw=self.raw)


def _registered_name(spec: EnvSpec) -> Any:
    """The id, or {name, keywords}, that makes the same environment again; None where that is not all there is."""
    registered = gymnasium.registry.get(spec.id)
    if registered is None:
        return None
    if spec.additional_wrappers or spec.entry_point != registered.entry_point:
        return None
    changed = {key: value for key, value in spec.kwargs.items() if registered.kwargs.get(key, ...) != value}
    changed.pop("render_mode", None)
    if spec.max_episode_steps != registered.max_episode_steps:
        changed[LIMIT] = spec.max_episode_steps
    return {"name": spec.id, **changed} if changed else spec.id
