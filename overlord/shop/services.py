"""The use cases of the shop's look, for the organiser's pages: save the look, set the logo."""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import QueryDict

from overlord.kernel import db
from overlord.kernel.errors import Conflict
from overlord.shop import look_forms, operations, pictures, selectors
from overlord.shop.look_forms import LookForm


class LookOutdated(Conflict):
    code = "look_outdated"
    sentence = "Somebody has changed the shop settings since you opened the page. Check them again."


@dataclass(frozen=True, kw_only=True)
class LookSaved:
    """The form of the look, and whether it was saved."""

    form: LookForm
    is_saved: bool


def look_form() -> LookForm:
    """Return a form with the current look."""
    return LookForm(instance=selectors.look())


def look_save(*, data: QueryDict, then: Callable[[], None]) -> LookSaved:
    """Save the look from a form, unless the form has mistakes or is older than the latest change of the look.

    `then` is called in the transaction of the change, so that the caller can write to the journal in it.
    """
    with db.transaction():
        look = operations.look_lock()
        outdated = look_forms.outdated(look, data)
        form = LookForm(outdated[1] if outdated else data, instance=look)
        form.meanwhile = outdated[0] if outdated else ()
        is_saved = form.is_valid()
        if is_saved:
            operations.look_set(look=form.save(commit=False))
            then()
    return LookSaved(form=form, is_saved=is_saved)


def look_logo_set(*, version: int, content: bytes | None, then: Callable[[], None]) -> None:
    """Set the logo to an uploaded picture, or remove it (`content` None); call `then` as `look_save` does.

    `version` is the version of the look that staff saw. Raise PictureRefused or LookOutdated. The earlier logo is
    deleted only in the next night, because open pages may need it until then.
    """
    files = {} if content is None else pictures.picture_read(content, shape=pictures.LOGO)
    name = pictures.name_of(files) if files else ""
    with db.transaction():
        look = operations.look_lock()
        if look.version != version:
            raise LookOutdated()
        if name:
            operations.picture_lock(name=name)
            pictures.picture_keep(name, files)
        look.logo = name
        operations.look_set(look=look)
        then()
