// The form_post response mode: the page sends itself.

document.forms[0].submit();
