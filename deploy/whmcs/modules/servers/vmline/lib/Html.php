<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * Text as HTML. Whatever came from outside goes through here.
 */
final class Html
{
    public static function text(mixed $text): string
    {
        return htmlspecialchars(is_scalar($text) ? (string) $text : '', ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
    }

    /** A value for a script inside of a page. */
    public static function json(mixed $value): string
    {
        return json_encode($value, JSON_HEX_TAG | JSON_HEX_AMP | JSON_HEX_APOS | JSON_HEX_QUOT | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR);
    }

    /** @param list<string> $lines already HTML */
    public static function lines(array $lines, string $none): string
    {
        return implode('<br>', $lines) ?: $none;
    }
}
